/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sched.h - which server a new connection gets. */
#ifndef WEIR_SCHED_H
#define WEIR_SCHED_H

/* table_of is the service's table, or NULL. */
static INLINE void *table_of(__u32 service)
{
	return bpf_map_lookup_elem(&tables, &service);
}

static INLINE struct row *table_row(void *table, __u32 n)
{
	return bpf_map_lookup_elem(table, &n);
}

static INLINE __u64 *table_at(void *table, __u32 at)
{
	struct row *r = table_row(table, at / ROW_WORDS);

	return r ? &r->word[at % ROW_WORDS] : NULL;
}

/*
 * slots_row is the n-th row of the service's slots, of which so many are taken, or
 * NULL behind the last.
 */
static INLINE struct row *slots_row(__u32 service, __u32 n, __u32 *slots)
{
	void *table = table_of(service);
	__u64 *length = table ? table_at(table, TABLE_LENGTH) : NULL;

	if (!length || n * ROW_WORDS >= *length)
		return NULL;
	*slots = *length - n * ROW_WORDS;
	return table_row(table, TABLE_SLOTS / ROW_WORDS + n);
}

/* The most servers in a list, and slots in a table (sched.MaxSlots). */
#define MAX_TURNS 65536
#define MAX_ROWS (MAX_TURNS / ROW_WORDS)

/* A pick under way: passed from turn to turn of a loop. */
struct pick {
	__u32 service, scheduler;
	__u32 server; /* the best so far, or NO_SERVER */
	__u32 weight; /* its weight */
	__u64 load;   /* and its load, as the scheduler counts it */
};

/*
 * The schedulers that scan compare overhead / weight without dividing, and keep
 * the earlier server of two that are equal (net/netfilter/ipvs/ip_vs_lc.c,
 * ip_vs_wlc.c, ip_vs_sed.c, ip_vs_nq.c, ip_vs_fo.c, ip_vs_ovf.c).
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
 * overhead weighs an active connection like 257 inactive ones: 256 times the
 * active and all (ip_vs_dest_conn_overhead, include/net/ip_vs.h, as of 2026; 256
 * in earlier kernels).
 */
static INLINE __u64 overhead(const struct load *l)
{
	return (__u64)(__u32)l->active * 257 + (__u32)l->inactive;
}

/* scan_one looks at one server; true: none can be better. */
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

/* scan looks at a row of the list. */
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
 * scanned is the server of the schedulers that look at each. It is a global function, so
 * that the verifier goes through its loop once, and not for each way that leads here.
 */
__noinline __u32 scanned(__u32 service, __u32 scheduler)
{
	struct pick pick = { .service = service, .scheduler = scheduler, .server = NO_SERVER };

	bpf_loop(MAX_ROWS, scan, &pick, 0);
	return pick.server;
}

/* The size of the kernel's table for dh and sh (IP_VS_SH_TAB_SIZE). */
#define HASH_BITS 8
#define HASH_SIZE (1 << HASH_BITS)

/* folded is an address as one number, IPv6 by exclusive or of its four. */
static INLINE __u32 folded(const struct addr *a)
{
	__u32 fold = UNMAPPED(a->lo);

	if (a->hi || a->lo != MAPPED(fold))
		fold ^= (__u32)a->lo ^ (__u32)a->hi ^ (__u32)(a->hi >> 32);
	return bpf_ntohl(fold);
}

/*
 * hash_addr is ip_vs_sh_hashkey (net/netfilter/ipvs/ip_vs_sh.c): hash_32 of the
 * address and of the port, in host byte order.
 */
static INLINE __u32 hash_addr(const struct addr *a, __u16 port)
{
	return ((bpf_ntohs(port) + folded(a)) * 0x61c88647U) >> (32 - HASH_BITS);
}

/* A probe of the hash table: passed from turn to turn where sh falls back. */
struct probe {
	__u32 service, at;
	__u32 server;
};

/* probe_one takes the server at the probe's place, if it may have a connection. */
static long probe_one(__u32 turn, struct probe *p)
{
	void *table = table_of(p->service);
	struct load *l;
	__u64 *slot;
	__u32 server;

	if (!table)
		return 1;
	slot = table_at(table, TABLE_SLOTS + ((p->at + turn) & (HASH_SIZE - 1)));
	if (!slot)
		return 1;
	server = *slot;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l || !l->weight || load_full(l))
		return 0;
	p->server = server;
	return 1;
}

/* hashed is the server of dh and sh. */
static NOINLINE __u32 hashed(const struct service *svc, const struct flow_key *key)
{
	struct probe probe = { .service = svc->index, .server = NO_SERVER };
	__u32 hash;

	if (svc->scheduler == SCHED_DH)
		hash = hash_addr(&key->to, 0);
	else
		hash = hash_addr(&key->from, svc->flags & SERVICE_PORT ? key->ports : 0);
	probe.at = hash;
	if (!probe_one(0, &probe) && svc->flags & SERVICE_FALLBACK) {
		/* From twice the hash on (ip_vs_sh_get_fallback). */
		probe.at = hash + hash;
		bpf_loop(HASH_SIZE, probe_one, &probe, 0);
	}
	return probe.server;
}

#endif
