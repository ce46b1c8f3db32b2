/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * new_flow.h - a packet without a valid connection entry: its service, its server, its
 * new entry.
 */
#ifndef WEIR_BALANCE_NEW_FLOW_H
#define WEIR_BALANCE_NEW_FLOW_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/deliver.h"
#include "conn/entry.h"
#include "conn/recycle.h"
#include "conn/reply.h"
#include "conn/table_full.h"
#include "conn/tcp_state.h"
#include "conn/word.h"
#include "parse/packet.h"
#include "sched/stateless.h"
#include "service/access.h"
#include "service/director.h"
#include "service/server.h"
#include "service/service.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * make_way ends the connection that a new one replaces (old, with the word that was read), and leaves
 * its slot to that one.
 */
static INLINE void make_way(struct work *w, struct conn *old, __u64 word)
{
	if (old && conn_delete(old, word))
		w->freed = old->place;
}

/*
 * route_unmatched is the verdict on a packet that may begin no connection and has no
 * entry. After the table was full it may still have a server, and gets an entry again,
 * as a half-open connection. Otherwise it counts PASS_NO_CONNECTION.
 */
static INLINE enum verdict route_unmatched(struct work *w, const struct service *svc, struct conn *old,
					   __u64 word)
{
	struct packet *p = &w->packet;
	struct server *s;
	__u64 fresh;
	__u32 index;

	if (!table_was_full(STATE_ESTABLISHED, w->now))
		return pass(PASS_NO_CONNECTION);
	index = server_without_entry(w, svc);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return pass(PASS_NO_CONNECTION);
	w->method = new_conn_method(s, p);
	if (!(p->tcp_flags & (TCP_RST | TCP_FIN))) {
		make_way(w, old, word);
		reply_prepare(w, s);
		conn_insert(w, index, STATE_SYN_RECV, &fresh);
	}
	note(NOTE_BY_HASH);
	return deliver(w, s, index, 0);
}

/*
 * record_connection inserts a new connection. Index is its server, which may be another one
 * afterwards. It returns REASON_NONE; DROP_EXPIRING; DROP_COLLISION; or DROP_TABLE_FULL
 * behind NAT and for a local client, which need a connection.
 */
static INLINE enum reason record_connection(struct work *w, const struct service *svc, __u32 *index)
{
	__u32 state = conn_first_state(&w->packet);
	bool needed = w->answered || METHOD_OF(w->method) == METHOD_NAT;
	__u64 fresh = 0;
	enum reason why = conn_insert(w, *index, state, &fresh);
	__u32 other;

	if (why == DROP_TABLE_FULL && needed && recycle_half_open(w))
		why = conn_insert(w, *index, state, &fresh);
	if (why == DROP_TABLE_FULL && !needed) {
		other = server_without_entry(w, svc);
		*index = other == NO_SERVER ? *index : other;
		return REASON_NONE;
	}
	if (why)
		return why;
	*index = conn_server(fresh);
	w->method = conn_method(fresh);
	return conn_state(fresh) == STATE_GONE ? DROP_EXPIRING : REASON_NONE;
}

/*
 * open_flow is the verdict on a packet of a new flow: PASS where it is for no service,
 * REFUSE where the service has no server, ASK_CONNTRACK for one of all ports where that was
 * not asked, or what deliver says. Old is the entry that the new connection replaces, or NULL,
 * and word its word.
 */
static INLINE enum verdict open_flow(struct work *w, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct service *svc = service_of(p);
	enum reason why;
	struct server *s;
	bool one_packet;
	__u32 index, chosen;

	if (!svc)
		return PASS;
	if (!may_serve(svc, p))
		return pass(PASS_PASSIVE);
	if (from_director(w->origin, w->last_hop))
		return pass(PASS_FROM_DIRECTOR);
	if (access_denied(&p->key, 1))
		return drop(DROP_DENIED);
	if (svc->flags & SERVICE_ANY_PORT && w->can_ask)
		return ASK_CONNTRACK;
	w->service = svc->index;
	w->template.place = 0;
	if (!may_begin(p, svc))
		return route_unmatched(w, svc, old, word);
	index = server_for(w, svc);
	if (index == NO_SERVER) {
		if (old) /* as ip_vs_in_hook does, before it looks for a server */
			conn_delete(old, word);
		note(DROP_NO_SERVER);
		w->no_host = false;
		return REFUSE;
	}
	one_packet = svc->flags & SERVICE_ONE_PACKET && p->protocol == IPPROTO_UDP;
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	chosen = index;
	w->method = new_conn_method(s, p);
	if (one_packet)
		return deliver(w, s, index, 1);
	make_way(w, old, word);
	reply_prepare(w, s);
	why = record_connection(w, svc, &index);
	if (why)
		return drop(why);
	if (index != chosen)
		s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	return deliver(w, s, index, 1);
}

#endif
