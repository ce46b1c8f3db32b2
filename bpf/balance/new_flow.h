/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* new_flow.h - a packet without a connection entry: its service, server and entry. */
#ifndef WEIR_BALANCE_NEW_FLOW_H
#define WEIR_BALANCE_NEW_FLOW_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
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
#include "service/lease.h"
#include "service/server.h"
#include "service/service.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * stray is for a packet that begins nothing and has no entry. Where there was no
 * room for it, it may still have a server, and an entry again as a half-open one.
 */
static INLINE enum verdict route_unmatched(struct work *w, const struct service *svc, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct server *s;
	__u32 index;

	if (!table_was_full(STATE_ESTABLISHED, tick()))
		return pass(PASS_NO_CONNECTION);
	index = server_without_entry(w, svc);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return pass(PASS_NO_CONNECTION);
	w->method = new_conn_method(s, p);
	if (!(p->tcp_flags & (TCP_RST | TCP_FIN)))
		conn_insert(w, old, word, index, STATE_SYN_RECV);
	note(NOTE_BY_HASH);
	return deliver(w, s, index, 0);
}

/*
 * remembered enters a new connection; word is the entry's that is over, and then
 * the one that it has now. It says why it cannot, which only NAT cannot do without.
 */
static INLINE enum reason record_connection(struct work *w, const struct service *svc, struct conn *old,
				     __u64 *word, __u32 *index)
{
	__u32 state = conn_first_state(&w->packet);
	bool nat = METHOD_OF(w->method) == METHOD_NAT;
	__u64 fresh = conn_insert(w, old, *word, *index, state);
	__u32 other;

	if (!fresh && nat && recycle_half_open(w))
		fresh = conn_insert(w, old, *word, *index, state);
	if (!fresh && nat)
		return DROP_TABLE_FULL;
	if (!fresh) {
		other = server_without_entry(w, svc);
		*index = other == NO_SERVER ? *index : other;
		return REASON_NONE;
	}
	*word = fresh;
	*index = conn_server(fresh);
	w->method = conn_method(fresh);
	return conn_state(fresh) == STATE_GONE ? DROP_EXPIRING : REASON_NONE;
}

/* open gives a new flow its server, if it is a service's and ours to give. */
static INLINE enum verdict open_flow(struct work *w, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct service *svc = service_of(p);
	enum reason why;
	struct server *s;
	bool one_packet;
	__u32 index;

	if (!svc)
		return PASS;
	if (!may_serve(svc, p))
		return pass(PASS_PASSIVE);
	if (from_director(p))
		return pass(PASS_FROM_DIRECTOR);
	w->service = svc->index;
	w->template.place = 0;
	if (!may_begin(p, svc))
		return route_unmatched(w, svc, old, word);
	index = server_for(w, svc);
	if (index == NO_SERVER) {
		note(DROP_NO_SERVER);
		return REFUSE;
	}
	one_packet = svc->flags & SERVICE_ONE_PACKET && p->protocol == IPPROTO_UDP;
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	w->method = new_conn_method(s, p);
	if (one_packet)
		return deliver(w, s, index, 1);
	why = record_connection(w, svc, old, &word, &index);
	if (why)
		return drop(why);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	if (needs_reply_entry(s, w->method)) {
		why = reply_insert(w, s, index);
		if (why) {
			struct conn *c = bpf_map_lookup_elem(&conns, &p->key);

			if (c)
				conn_delete(&p->key, c, c->word);
			return drop(why);
		}
	}
	return deliver(w, s, index, 1);
}

#endif
