/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * twos.h - the power of two choices (net/netfilter/ipvs/ip_vs_twos.c): two servers are
 * drawn at random, by weight, and the less loaded one is taken.
 */
#ifndef WEIR_SCHED_TWOS_H
#define WEIR_SCHED_TWOS_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "sched/scan.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/* Two draws, for bpf_loop. */
struct lots {
	__u32 service;
	__u32 server[2], weight[2];
	__u32 last;  /* the last server that may get a connection, or NO_SERVER */
	__u64 total; /* the sum of the weights */
	__u64 lot[2], load[2];
};

/* twos_load is the server's load if it may get a connection, or NULL. */
static INLINE struct load *twos_load(__u32 server)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);

	return l && l->weight && !load_full(l) ? l : NULL;
}

/* twos_weigh adds up the weights of a row of servers. */
static long twos_weigh(__u32 turn, struct lots *t)
{
	__u32 slots = 0;
	struct row *row = slots_row(t->service, turn, &slots);

	if (!row)
		return 1;
	for (__u32 i = 0; i < ROW_WORDS && i < slots; i++) {
		__u32 server = row->word[i];
		struct load *l = twos_load(server);

		if (!l)
			continue;
		t->total += l->weight;
		t->last = server;
	}
	return 0;
}

/* twos_fall ends a draw at the server at which the sum of the weights reaches it. */
static INLINE void twos_fall(struct lots *t, int i, const struct load *l, __u32 server)
{
	if (t->server[i] != NO_SERVER)
		return;
	if (t->lot[i] > l->weight) {
		t->lot[i] -= l->weight;
		return;
	}
	t->server[i] = server;
	t->weight[i] = l->weight;
	t->load[i] = overhead(l);
}

/* twos_draw goes through a row of servers with both draws. */
static long twos_draw(__u32 turn, struct lots *t)
{
	__u32 slots = 0;
	struct row *row = slots_row(t->service, turn, &slots);

	if (!row)
		return 1;
	for (__u32 i = 0; i < ROW_WORDS && i < slots; i++) {
		__u32 server = row->word[i];
		struct load *l = twos_load(server);

		if (!l)
			continue;
		twos_fall(t, 0, l, server);
		twos_fall(t, 1, l, server);
	}
	return t->server[0] != NO_SERVER && t->server[1] != NO_SERVER;
}

/* twos_lot is a random number from 0 to the sum of the weights. */
static INLINE __u64 twos_lot(const struct lots *t)
{
	__u64 random = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();

	return random % (t->total + 1);
}

/*
 * schedule_twos is the server of twos, or NO_SERVER. It is a global function, as
 * schedule_scan is.
 */
__noinline __u32 schedule_twos(__u32 service)
{
	struct lots t = {
		.service = service,
		.server = { NO_SERVER, NO_SERVER },
		.last = NO_SERVER,
	};

	bpf_loop(MAX_ROWS, twos_weigh, &t, 0);
	if (t.last == NO_SERVER)
		return NO_SERVER;
	t.lot[0] = twos_lot(&t);
	t.lot[1] = twos_lot(&t);
	bpf_loop(MAX_ROWS, twos_draw, &t, 0);
	if (t.server[0] == NO_SERVER) /* the weights have fallen meanwhile */
		return t.last;
	if (t.server[1] != NO_SERVER && t.weight[1] * t.load[0] > t.weight[0] * t.load[1])
		return t.server[1];
	return t.server[0];
}

#endif
