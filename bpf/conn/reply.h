/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * reply.h - the entry of a connection's other direction: what a server behind NAT, or
 * any server of a local client, answers. It stands under the key that the answers
 * carry, and has the virtual address and the reply route: where the client's packets
 * come from.
 */
#ifndef WEIR_CONN_REPLY_H
#define WEIR_CONN_REPLY_H

#include "abi.h"
#include "base/bpf.h"
#include "conn/entry.h"
#include "conn/expiry.h"
#include "conn/flow_cache.h"
#include "conn/flow_invalidate.h"
#include "conn/recycle.h"
#include "conn/reply_key.h"
#include "conn/tables.h"
#include "conn/tcp_state.h"
#include "conn/word.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * reply_insert enters the answers to the packet's flow. It returns REASON_NONE;
 * DROP_TABLE_FULL; or DROP_COLLISION where the server has a connection with the same
 * client's port for another virtual address, whose answers would carry the same key.
 */
static NOINLINE enum reason reply_insert(struct work *w, const struct server *s, __u32 index)
{
	struct conn *reply = conn_new_draft(w, conn_reply_word(index), s->service, w->now);
	const struct packet *p = &w->packet;
	struct conn_reply *theirs;
	struct flow_key *key = &w->other_key;
	struct conn *old;

	reply->of.reply.vip = p->key.to;
	reply->of.reply.ports = p->key.ports;
	reply->of.reply.route = w->reply_route;
	reply_key(key, &p->key, s, w->method);
	if (!same_addr(&key->to, &p->key.from)) {
		reply->of.reply.route.ifindex |= REPLY_TO_VIP;
		reply->expiry = expiry_take(key, index, reply->stamp); /* always due, for sweep_reply */
	}
	if (!conn_enter(key, reply))
		return REASON_NONE;
	old = conn_find(key);
	if (!old && recycle_half_open(w) && !conn_enter(key, reply))
		return REASON_NONE;
	if (!old)
		return DROP_TABLE_FULL;
	if (conn_state(old->word) != STATE_REPLY)
		return DROP_COLLISION;
	theirs = &old->of.reply;
	if (theirs->ports != p->key.ports || !same_addr(&theirs->vip, &p->key.to) ||
	    (theirs->route.ifindex ^ reply->of.reply.route.ifindex) & REPLY_TO_VIP) {
		key->from = reply_to_vip(theirs) ? theirs->vip : key->to;
		key->to = theirs->vip;
		key->ports = theirs->ports;
		if (conn_find(key))
			return DROP_COLLISION;
		reply_key(key, &p->key, s, w->method);
	}
	return conn_replace(key, old, reply) ? DROP_TABLE_FULL : REASON_NONE;
}

/* same_next_hop says whether two next hops are equal. */
static INLINE bool same_next_hop(const struct next_hop *a, const struct next_hop *b)
{
	return mac_word(a->dst) == mac_word(b->dst) && mac_word(a->src) == mac_word(b->src) &&
	       a->ifindex == b->ifindex;
}

/*
 * reply_refresh stores a new reply route where the client's packets come by another one
 * now.
 */
static NOINLINE void reply_refresh(const struct work *w, struct conn *c, const struct server *s)
{
	const struct flow_key *client = &w->packet.key;
	struct flow_key key;
	struct conn *reply;

	reply_key(&key, client, s, w->method);
	reply = conn_find(&key);
	if (!reply || conn_state(reply->word) != STATE_REPLY ||
	    same_next_hop(&reply->of.reply.route, &w->reply_route))
		return;
	reply->of.reply.route = w->reply_route;
	flow_invalidate(client, c, c->word);
}

/*
 * route_reply decides on a server's packet: it goes back to the client of its
 * connection. It returns FORWARD; or PASS where XDP leaves it to tc, before anything is
 * changed; or counts PASS_NO_CONNECTION.
 */
static NOINLINE enum verdict route_reply(struct work *w, struct conn *reply)
{
	struct packet *p = &w->packet;
	struct flow_key *key = &w->other_key;
	__u32 now = w->now, server;
	struct conn *c;
	__u64 word;

	if (p->at_xdp && reply_by_tc(&reply->of.reply, p->ifindex))
		return PASS;
	key->from = *reply_client(&reply->of.reply, &p->key);
	key->to = reply->of.reply.vip;
	key->ports = reply->of.reply.ports;
	c = conn_find(key);
	if (!c)
		return pass(PASS_NO_CONNECTION);
	word = c->word;
	server = conn_server(word);
	if (server != conn_server(reply->word) || conn_state(word) == STATE_GONE)
		return pass(PASS_NO_CONNECTION);
	if (conn_nat(word))
		conn_advance(key, c, word, p, now, OUTPUT);
	flow_insert(w, c, reply, now);
	w->to_client = true;
	w->service = c->service;
	w->server = server;
	w->method = conn_method(word);
	w->reply = reply->of.reply;
	return FORWARD;
}

#endif
