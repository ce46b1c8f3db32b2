/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * reply.h - a connection's other direction: what a server behind NAT, or any server of a local
 * client, answers. The index has a second reference for it. The reply route is where the client's
 * packets come from.
 */
#ifndef WEIR_CONN_REPLY_H
#define WEIR_CONN_REPLY_H

#include "abi.h"
#include "base/bpf.h"
#include "conn/entry.h"
#include "conn/index.h"
#include "conn/flow_cache.h"
#include "conn/flow_invalidate.h"
#include "conn/reply_key.h"
#include "conn/tcp_state.h"
#include "conn/word.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "service/server.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* reply_prepare has the packet's new connection know the server's answers, if they come to this machine. */
static NOINLINE void reply_prepare(struct work *w, const struct server *s)
{
	const struct flow_key *key = &w->packet.key;

	w->answered = needs_reply(s, w->method);
	if (!w->answered)
		return;
	reply_key(&w->reply_key, key, s, w->method);
	w->answers = index_hash(&w->reply_key);
	if (!same_addr(&w->reply_key.to, &key->from))
		w->reply_route.ifindex |= REPLY_TO_VIP;
}

/* same_next_hop says whether two next hops are equal. */
static INLINE bool same_next_hop(const struct next_hop *a, const struct next_hop *b)
{
	const __u32 *one = (const __u32 *)a, *other = (const __u32 *)b;

	return one[0] == other[0] && one[1] == other[1] && one[2] == other[2] && one[3] == other[3];
}

/* reply_refresh stores a new reply route where the client's packets come by another one now. */
static INLINE void reply_refresh(const struct work *w, struct conn *c, __u64 word)
{
	__u32 flag = c->route.ifindex & REPLY_TO_VIP;
	struct next_hop now = w->reply_route;

	now.ifindex |= flag;
	if (!c->route.ifindex || same_next_hop(&c->route, &now))
		return;
	c->route = now;
	flow_invalidate(c, word);
}

/* reply_to stores in w who gets the answers to a connection. */
static INLINE void reply_to(struct work *w, const struct conn *c)
{
	w->to_client = true;
	w->service = c->service;
	w->reply.vip = c->key.to;
	w->reply.ports = c->key.ports;
	w->reply.route = c->route;
}

/*
 * route_reply decides on a server's packet: it goes back to the client of its
 * connection. It returns FORWARD; or PASS where XDP leaves it to tc, before anything is
 * changed.
 */
static NOINLINE enum verdict route_reply(struct work *w, struct conn *c, __u64 word)
{
	struct packet *p = &w->packet;

	if (p->at_xdp && reply_by_tc(&c->route, p->ifindex))
		return PASS;
	if (conn_nat(word))
		conn_advance(c, word, p, w->now, OUTPUT);
	w->csum = csum_moved(&p->key.from, &c->key.to, !p->ip6);
	w->csum_ports = csum_folded(w->csum + csum_short(ports_source(p->key.ports), ports_destination(c->key.ports)));
	flow_insert(w, c, true, w->now);
	w->server = conn_server(word);
	w->method = conn_method(word);
	reply_to(w, c);
	return FORWARD;
}

#endif
