/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* route.h - the full path of a packet: by its connection entry, or as a new flow. */
#ifndef WEIR_BALANCE_ROUTE_H
#define WEIR_BALANCE_ROUTE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/begin.h"
#include "balance/deliver.h"
#include "balance/new_flow.h"
#include "conn/entry.h"
#include "conn/flow_cache.h"
#include "conn/recycle.h"
#include "conn/reply.h"
#include "conn/index.h"
#include "conn/older.h"
#include "conn/tcp_state.h"
#include "conn/word.h"
#include "parse/packet.h"
#include "service/service.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* What a SYN that has a connection entry does. */
enum syn_action {
	SYN_CONTINUE, /* it belongs to the connection */
	SYN_REOPEN,   /* it begins a new connection in the entry */
	SYN_PASSIVE,  /* another director is master for it */
};

/*
 * syn_on_connection decides on a SYN that has a connection entry (ip_vs_in,
 * net/netfilter/ipvs/ip_vs_core.c). With a running lease the SYN belongs to the
 * connection, or begins a new one where that has closed, unless the connection came by a
 * template. A SYN for a server that was removed begins a new connection as well. Once
 * the lease has run out, the SYN begins a connection of the director that is master now:
 * the entry is deleted, so that the packets after the SYN pass as well.
 */
static NOINLINE enum syn_action syn_on_connection(struct work *w, struct conn *c, const struct server *s)
{
	struct packet *p = &w->packet;
	__u64 word = c->word;
	__u32 state = conn_state(word), index = conn_server(word);
	struct service *svc = service_of(p);
	struct load *l = bpf_map_lookup_elem(&loads, &index);

	if (svc && !may_serve(svc, p)) {
		conn_delete(c, word);
		return SYN_PASSIVE;
	}
	if (!(s->flags & SERVER_PRESENT))
		return SYN_REOPEN;
	if (!svc)
		return SYN_CONTINUE;
	if (svc->flags & SERVICE_EXPIRE_NODEST && l && !l->weight)
		return SYN_REOPEN;
	if (svc->flags & SERVICE_KEEP_REUSED || c->template.place)
		return SYN_CONTINUE;
	if (state == STATE_FIN_WAIT && svc->flags & SERVICE_REUSE_FIN_WAIT && !conn_nat(word))
		return SYN_REOPEN;
	return conn_closed(state) ? SYN_REOPEN : SYN_CONTINUE;
}

/*
 * expire_nodest deletes a connection whose server was removed, if the service says so
 * (expire_nodest_conn), and says whether it did. The packet then begins a new connection
 * (UDP), or the local stack resets it (TCP).
 */
static INLINE bool expire_nodest(struct work *w, struct conn *c, __u64 word)
{
	struct service *svc = service_of(&w->packet);

	if (!svc || !(svc->flags & SERVICE_EXPIRE_NODEST))
		return false;
	conn_delete(c, word);
	return true;
}

/* route_flow is the verdict on a packet: by its connection entry, or as a new flow. */
static INLINE enum verdict route_flow(struct work *w)
{
	struct packet *p = &w->packet;
	__u32 now, state, index;
	struct server *s;
	__u64 word, found;
	struct conn *c;
	enum verdict v;

	w->hash = index_hash(&p->key);
	found = conn_seek(w->hash, &p->key);
	c = found_conn(found, &word);
	if (!c)
		goto begin;
	state = conn_state(word);
	index = conn_server(word);
	if (found_answers(found))
		return route_reply(w, c, word);
	now = w->now;
	if (conn_expired(c, state, now))
		goto over;
	if (p->local_out != !!(conn_method(word) & METHOD_LOCAL_CLIENT))
		return PASS; /* a local client's connection has no other client's packets */
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (p->tcp_flags & TCP_SYN) {
		switch (syn_on_connection(w, c, s)) {
		case SYN_REOPEN:
			goto over;
		case SYN_PASSIVE:
			return pass(PASS_PASSIVE);
		default:
			break;
		}
	}
	if (!(s->flags & SERVER_PRESENT)) {
		if (expire_nodest(w, c, word))
			goto begin;
		return no_service_left(p) ? pass(PASS_NO_SERVICE) : drop(DROP_SERVER_REMOVED);
	}
	w->method = conn_method(word);
	if (conn_nat(word)) {
		reply_refresh(w, c, word);
		conn_advance(c, word, p, now, INPUT);
	} else {
		conn_advance(c, word, p, now, ONLY);
	}
	v = deliver(w, s, index, 0); /* it sets w->csum and w->csum_ports */
	flow_insert(w, c, false, now);
	return v;
begin:
	c = NULL;
	word = 0;
over:
	return open_flow(w, c, word);
}

/*
 * route_packet is route_flow for the packet in this CPU's work, with the eviction of the
 * victim that the packet may have. It returns an enum verdict. It is a global function,
 * which is verified once and by itself.
 */
__noinline int route_packet(void)
{
	struct work *w = work_of();
	enum verdict v;

	if (!w)
		return PASS;
	w->victim.place = 0;
	w->freed = 0;
	begin(w);
	v = route_flow(w);
	if (w->victim.place)
		half_open_evict();
	return v;
}

#endif
