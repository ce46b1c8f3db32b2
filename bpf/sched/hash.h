/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hash.h - dh and sh: a hash of the address is the slot in the table
 * (net/netfilter/ipvs/ip_vs_dh.c, ip_vs_sh.c).
 */
#ifndef WEIR_SCHED_HASH_H
#define WEIR_SCHED_HASH_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/ports.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/* The size of the kernel's tables for dh and sh (IP_VS_DH_TAB_BITS, IP_VS_SH_TAB_BITS). */
#define HASH_BITS 8
#define HASH_SIZE (1 << HASH_BITS)

/* The factor of hash_32 (include/linux/hash.h). */
#define GOLDEN_RATIO_32 0x61c88647U

/*
 * folded is an address as one number in host byte order; the four words of an IPv6
 * address are combined by exclusive or.
 */
static INLINE __u32 folded(const struct addr *a)
{
	__u32 fold = UNMAPPED(a->lo);

	if (a->hi || a->lo != MAPPED(fold))
		fold ^= (__u32)a->lo ^ (__u32)a->hi ^ (__u32)(a->hi >> 32);
	return bpf_ntohl(fold);
}

/*
 * hash_addr is the slot of an address and a port (network byte order): hash_32 of their
 * sum in host byte order (ip_vs_sh_hashkey, ip_vs_dh_hashkey).
 */
static INLINE __u32 hash_addr(const struct addr *a, __u16 port)
{
	return ((bpf_ntohs(port) + folded(a)) * GOLDEN_RATIO_32) >> (32 - HASH_BITS);
}

/* A search of the hash table, for bpf_loop where sh falls back. */
struct probe {
	__u32 service, at;
	__u32 server;
};

/*
 * probe_one takes the server at the probe's place if it may get a connection, which ends
 * the loop.
 */
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

/* schedule_hash is the server of dh and sh, or NO_SERVER. */
static NOINLINE __u32 schedule_hash(const struct service *svc, const struct flow_key *key)
{
	struct probe probe = { .service = svc->index, .server = NO_SERVER };
	__u32 hash;

	if (svc->scheduler == SCHED_DH)
		hash = hash_addr(&key->to, 0);
	else
		hash = hash_addr(&key->from, svc->flags & SERVICE_PORT ? ports_source(key->ports) : 0);
	probe.at = hash;
	if (!probe_one(0, &probe) && svc->flags & SERVICE_FALLBACK) {
		/* The fallback begins at twice the hash (ip_vs_sh_get_fallback). */
		probe.at = hash + hash;
		bpf_loop(HASH_SIZE, probe_one, &probe, 0);
	}
	return probe.server;
}

#endif
