/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hash.h - dh and sh: a hash of the address is the slot in the table. */
#ifndef WEIR_SCHED_HASH_H
#define WEIR_SCHED_HASH_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

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
static NOINLINE __u32 schedule_hash(const struct service *svc, const struct flow_key *key)
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
