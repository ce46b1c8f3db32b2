/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * scan.h - the scan schedulers, which look at every server of the list: lc, wlc, sed,
 * nq, fo and ovf (net/netfilter/ipvs/ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c,
 * ip_vs_fo.c, ip_vs_ovf.c).
 */
#ifndef WEIR_SCHED_SCAN_H
#define WEIR_SCHED_SCAN_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/*
 * better says whether a server with this load is a better choice than the best so far.
 * It compares load / weight without a division; of two equal servers the earlier one
 * stays.
 */
static INLINE bool better(struct pick *p, const struct load *l, __u64 load)
{
	if (p->server == NO_SERVER)
		return true;
	switch (p->scheduler) {
	case SCHED_LC:
		return load < p->load;
	case SCHED_FO:
	case SCHED_OVF:
		return l->weight > p->weight;
	}
	return p->load * l->weight > load * p->weight;
}

/*
 * overhead is the load of lc, wlc and others: an active connection weighs as much as 256
 * inactive ones, and every connection counts once more (ip_vs_dest_conn_overhead,
 * include/net/ip_vs.h, as of 2026; kernels before did not count the active ones once
 * more).
 */
static INLINE __u64 overhead(const struct load *l)
{
	return (__u64)(__u32)l->active * 257 + (__u32)l->inactive;
}

/* scan_one looks at one server. True: none can be better. */
static INLINE bool scan_one(struct pick *p, __u32 server)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);
	__u64 load;
	bool idle;

	if (!l || !l->weight || load_full(l))
		return false;
	switch (p->scheduler) {
	case SCHED_LC:
	case SCHED_WLC:
		load = overhead(l);
		break;
	case SCHED_OVF:
		if ((__u32)l->active > l->weight)
			return false;
		load = 0;
		break;
	default:
		load = (__u64)(__u32)l->active + 1;
	}
	/* nq takes the first idle server, whatever its weight. */
	idle = p->scheduler == SCHED_NQ && l->active == 0;
	if (!idle && !better(p, l, load))
		return false;
	p->server = server;
	p->weight = l->weight;
	p->load = load;
	return idle;
}

/* scan_one_wlc is scan_one for wlc. The low half of a slot is its server, and so the key of its load. */
static INLINE void scan_one_wlc(struct pick *p, const __u64 *slot)
{
	struct load *l = bpf_map_lookup_elem(&loads, slot);
	__u64 load;
	__u32 weight;

	if (!l)
		return;
	load = overhead(l);
	weight = l->weight;
	if (p->load * weight <= load * p->weight || load_full(l))
		return;
	p->load = load;
	p->weight = weight;
	p->server = *slot;
}

/*
 * scan_row_wlc is scan_one_wlc for each server of a row. With 64 servers this is a third of a
 * new connection's cost, so a whole row is gone through without a loop.
 */
static INLINE void scan_row_wlc(struct pick *p, const struct row *row, __u32 slots)
{
	if (slots >= ROW_WORDS) {
#pragma unroll
		for (__u32 i = 0; i < ROW_WORDS; i++)
			scan_one_wlc(p, &row->word[i]);
	} else {
		asm volatile("" : "+r"(slots)); /* so that the compiler leaves the first condition */
		for (__u32 i = 0; i < ROW_WORDS && i < slots; i++)
			scan_one_wlc(p, &row->word[i]);
	}
}

/* How many rows one turn of wlc's loop goes through: the look for a row costs as much as three servers. */
#define WLC_ROWS 4

/* scan_wlc looks at some rows of the list, for bpf_loop. */
static long scan_wlc(__u32 turn, struct pick *p)
{
	__u32 slots, at = turn * WLC_ROWS;
	void *table = table_of(p->service);
	struct row *row;

	if (!table)
		return 1;
	slots = slots_from(table, at);
	do {
		row = slots ? table_row(table, TABLE_SLOTS / ROW_WORDS + at) : NULL;
		if (!row)
			return 1;
		scan_row_wlc(p, row, slots);
		slots -= slots < ROW_WORDS ? slots : ROW_WORDS;
	} while (++at % WLC_ROWS);
	return 0;
}

/* scan looks at a row of the list, for bpf_loop. */
static long scan(__u32 turn, struct pick *p)
{
	__u32 slots = 0;
	struct row *row = slots_row(p->service, turn, &slots);

	if (!row)
		return 1;
	for (__u32 i = 0; i < ROW_WORDS && i < slots; i++)
		if (scan_one(p, row->word[i]))
			return 1;
	return 0;
}

/*
 * schedule_scan is the server that a scan scheduler (enum scheduler) gives a new
 * connection, or NO_SERVER. It is a global function, so that the verifier goes through
 * its loop once, and not for each path that leads here.
 */
__noinline __u32 schedule_scan(__u32 service, __u32 scheduler)
{
	/* For wlc, with a load and no weight, nothing is better than no server. */
	struct pick pick = { .service = service, .scheduler = scheduler, .server = NO_SERVER, .load = 1 };

	if (scheduler == SCHED_WLC)
		bpf_loop(MAX_ROWS / WLC_ROWS, scan_wlc, &pick, 0);
	else
		bpf_loop(MAX_ROWS, scan, &pick, 0);
	return pick.server;
}

#endif
