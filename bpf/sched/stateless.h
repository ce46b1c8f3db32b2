/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * stateless.h - while the connection table is full, a new flow gets a server that all
 * packets of the flow find again without an entry.
 */
#ifndef WEIR_SCHED_STATELESS_H
#define WEIR_SCHED_STATELESS_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_line.h"
#include "conn/table_full.h"
#include "sched/persist.h"
#include "sched/schedule.h"
#include "sched/table.h"
#include "service/server.h"
#include "verdict/work.h"

/* A search for a flow's server by the flow's hash, for bpf_loop. */
struct stateless_search {
	__u32 service;
	__u32 hash;
	__u32 server;
};

/* stateless_try takes the server of the next slot unless its weight is 0. */
static long stateless_try(__u32 turn, struct stateless_search *s)
{
	void *table = table_of(s->service);
	__u64 *length = table ? table_at(table, TABLE_LENGTH) : NULL, *slot;
	struct load *l;
	__u32 server;

	if (!length || turn >= *length)
		return 1;
	slot = table_at(table, TABLE_SLOTS + (s->hash + turn) % *length);
	if (!slot)
		return 1;
	server = *slot;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l || !l->weight)
		return 0;
	s->server = server;
	return 1;
}

/*
 * stateless_server is the same server for each packet of a flow, as long as the
 * service's table does not change; or NO_SERVER. It ignores thresholds.
 */
static NOINLINE __u32 stateless_server(const struct service *svc, const struct flow_key *k)
{
	struct stateless_search s = { .service = svc->index, .server = NO_SERVER };

	s.hash = flow_hash(k) >> 32;
	bpf_loop(MAX_TURNS, stateless_try, &s, 0);
	return s.server;
}

/*
 * needs_conn_entry says whether packets to a server need a connection entry to come
 * back: behind NAT they do.
 */
static INLINE bool needs_conn_entry(__u32 index)
{
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	return s && METHOD_OF(s->method) == METHOD_NAT && !delivered_locally(s, s->method);
}

/*
 * server_without_entry is the server of a flow that may have no entry, or lose it: by
 * the client's template or the scheduler's hash where the service has one, or else by
 * the flow's hash. Behind NAT it is NO_SERVER.
 */
static INLINE __u32 server_without_entry(struct work *w, const struct service *svc)
{
	__u32 index;

	if (svc->persist)
		index = schedule_persistent(w, svc);
	else if (svc->flags & SERVICE_HASHES)
		index = schedule(svc, &w->packet);
	else
		index = stateless_server(svc, &w->packet.key);
	return index != NO_SERVER && needs_conn_entry(index) ? NO_SERVER : index;
}

/*
 * server_for is the server of a new connection, or NO_SERVER. After the table was full
 * it is, by direct routing and tunnels, one that the flow's packets find without an
 * entry.
 */
static INLINE __u32 server_for(struct work *w, const struct service *svc)
{
	__u32 index = NO_SERVER;

	if (svc->persist)
		return schedule_persistent(w, svc);
	if (table_was_full(STATE_SYN_RECV, w->now))
		index = server_without_entry(w, svc);
	return index == NO_SERVER ? schedule(svc, &w->packet) : index;
}

#endif
