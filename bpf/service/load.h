/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* load.h - the number of connections of each server, and its thresholds. */
#ifndef WEIR_SERVICE_LOAD_H
#define WEIR_SERVICE_LOAD_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* load_of is the load of a server by its index, or NULL. */
static INLINE struct load *load_of(__u32 server)
{
	return bpf_map_lookup_elem(&loads, &server);
}

/*
 * The states of active connections (tcp_state_active_table,
 * net/netfilter/ipvs/ip_vs_proto_tcp.c).
 */
#define ACTIVE_STATES                                                                              \
	(1 << STATE_ESTABLISHED | 1 << STATE_SYN_SENT | 1 << STATE_SYN_RECV | 1 << STATE_SYNACK)

/*
 * active_state says whether a connection in this state is active; otherwise it is
 * inactive.
 */
static INLINE bool active_state(__u32 state)
{
	return ACTIVE_STATES >> (state & 31) & 1;
}

/*
 * load_update_full sets or clears LOAD_FULL after the counts have changed
 * (ip_vs_bind_dest and ip_vs_unbind_dest, net/netfilter/ipvs/ip_vs_conn.c). A server is
 * full from its upper threshold on, until it has fewer connections than its lower
 * threshold, or, without a lower threshold, than three quarters of the upper.
 */
static INLINE void load_update_full(struct load *l)
{
	__u32 total = l->active + l->inactive;

	if (l->upper && total >= l->upper) {
		if (!(l->flags & LOAD_FULL))
			__sync_fetch_and_or(&l->flags, LOAD_FULL);
		return;
	}
	if (!(l->flags & LOAD_FULL))
		return;
	if (l->lower ? total < l->lower : !l->upper || total * 4ULL < l->upper * 3ULL)
		__sync_fetch_and_and(&l->flags, ~LOAD_FULL);
}

/* load_full says whether a server may get no new connection now. */
static INLINE bool load_full(const struct load *l)
{
	return l->flags & LOAD_FULL || (l->upper && (__u32)(l->active + l->inactive) >= l->upper);
}

/* load_add counts a connection in this state in (n is 1) or out (n is -1). */
static INLINE void load_add(__u32 server, __u32 state, int n)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);

	if (!l)
		return;
	__sync_fetch_and_add(active_state(state) ? &l->active : &l->inactive, n);
	load_update_full(l);
}

/* load_move counts a connection that changes from one state to another. */
static INLINE void load_move(__u32 server, __u32 from, __u32 to)
{
	struct load *l;
	int n = active_state(to) ? 1 : -1;

	if (active_state(from) == active_state(to))
		return;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l)
		return;
	__sync_fetch_and_add(&l->active, n);
	__sync_fetch_and_add(&l->inactive, -n);
}

#endif
