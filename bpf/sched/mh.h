/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mh.h - maglev hashing (net/netfilter/ipvs/ip_vs_mh.c). Go lays the table out
 * (internal/sched/mh.go); here the client's address finds its slot.
 */
#ifndef WEIR_SCHED_MH_H
#define WEIR_SCHED_MH_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/ports.h"
#include "sched/hash.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/* The size of the kernel's table, and the key of its first hash (both halves). */
#define MH_SIZE 4093
#define MH_KEY 2654435761ULL

/* A rotation to the left, and one round of SipHash. */
#define ROTL(x_, n_) ((x_) << (n_) | (x_) >> (64 - (n_)))
#define SIPROUND(v0, v1, v2, v3)                                                                   \
	do {                                                                                       \
		v0 += v1;                                                                          \
		v1 = ROTL(v1, 13) ^ v0;                                                            \
		v0 = ROTL(v0, 32);                                                                 \
		v2 += v3;                                                                          \
		v3 = ROTL(v3, 16) ^ v2;                                                            \
		v0 += v3;                                                                          \
		v3 = ROTL(v3, 21) ^ v0;                                                            \
		v2 += v1;                                                                          \
		v1 = ROTL(v1, 17) ^ v2;                                                            \
		v2 = ROTL(v2, 32);                                                                 \
	} while (0)

/*
 * mh_slot is the slot of a value: the kernel's hsiphash of one 32-bit word on 64-bit
 * machines, which is SipHash-1-3 cut to 32 bits (include/linux/siphash.h).
 */
static INLINE __u32 mh_slot(__u32 value)
{
	__u64 v0 = 0x736f6d6570736575ULL ^ MH_KEY, v1 = 0x646f72616e646f6dULL ^ MH_KEY;
	__u64 v2 = 0x6c7967656e657261ULL ^ MH_KEY, v3 = 0x7465646279746573ULL ^ MH_KEY;
	__u64 word = 4ULL << 56 | value;

	v3 ^= word;
	SIPROUND(v0, v1, v2, v3);
	v0 ^= word;
	v2 ^= 0xff;
	SIPROUND(v0, v1, v2, v3);
	SIPROUND(v0, v1, v2, v3);
	SIPROUND(v0, v1, v2, v3);
	return (__u32)(v0 ^ v1 ^ v2 ^ v3) % MH_SIZE;
}

/* A search of the table, for bpf_loop where mh falls back. */
struct mh_search {
	__u32 service;
	__u32 value; /* the client's address and port as one number, to be hashed */
	__u32 first; /* the slot of the value */
	__u32 server;
};

/*
 * mh_take takes the slot's server. False: the slot has none, or it may not get a
 * connection.
 */
static INLINE bool mh_take(struct mh_search *m, __u32 slot)
{
	void *table = table_of(m->service);
	__u64 *entry = table ? table_at(table, TABLE_SLOTS + slot) : NULL;
	struct load *l;
	__u32 server;

	if (!entry)
		return false;
	server = *entry;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l || !l->weight || load_full(l))
		return false;
	m->server = server;
	return true;
}

/* mh_next tries the next slot of a fallback. */
static long mh_next(__u32 turn, struct mh_search *m)
{
	return mh_take(m, mh_slot(m->value + (turn + m->first) % MH_SIZE));
}

/* schedule_mh is the server of mh, or NO_SERVER (ip_vs_mh_get, ip_vs_mh_get_fallback). */
static NOINLINE __u32 schedule_mh(const struct service *svc, const struct flow_key *key)
{
	struct mh_search m = { .service = svc->index, .server = NO_SERVER };

	m.value = folded(&key->from);
	if (svc->flags & SERVICE_PORT)
		m.value += bpf_ntohs(ports_source(key->ports));
	m.first = mh_slot(m.value);
	if (!mh_take(&m, m.first) && svc->flags & SERVICE_FALLBACK)
		bpf_loop(MH_SIZE, mh_next, &m, 0);
	return m.server;
}

#endif
