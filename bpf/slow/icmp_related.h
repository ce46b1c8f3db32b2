/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * icmp_related.h - ICMP errors that others send about a connection's packets: they go
 * to the other end of the connection (ip_vs_in_icmp, ip_vs_out_icmp, ip_vs_nat_icmp,
 * net/netfilter/ipvs/ip_vs_core.c). They change no state, and do not keep a connection
 * from expiring.
 */
#ifndef WEIR_SLOW_ICMP_RELATED_H
#define WEIR_SLOW_ICMP_RELATED_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/deliver.h"
#include "conn/entry.h"
#include "conn/reply_key.h"
#include "conn/tables.h"
#include "conn/word.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * route_icmp_to_client is the verdict on an error about what a client sent to a server
 * behind NAT: it goes to that client.
 */
static INLINE enum verdict route_icmp_to_client(struct work *w, const struct conn *reply)
{
	struct flow_key *key = &w->other_key;
	struct conn *c;

	key->from = *reply_client(&reply->of.reply, &w->packet.key);
	key->to = reply->of.reply.vip;
	key->ports = reply->of.reply.ports;
	c = conn_find(key);
	if (!c || conn_server(c->word) != conn_server(reply->word) || conn_state(c->word) == STATE_GONE)
		return PASS;
	w->to_client = true;
	w->service = c->service;
	w->server = conn_server(c->word);
	w->reply = reply->of.reply;
	return FORWARD;
}

/*
 * route_icmp_error is the verdict on an ICMP error: it goes where the packets of its
 * connection go. It is PASS where there is no connection.
 */
static INLINE enum verdict route_icmp_error(struct work *w)
{
	const struct packet *p = &w->packet;
	struct conn *c = conn_find(&p->key);
	struct server *s;
	__u32 index, state;
	__u64 word;

	if (!c)
		return PASS;
	word = c->word;
	state = conn_state(word);
	if (state == STATE_REPLY)
		return route_icmp_to_client(w, c);
	if (state == STATE_GONE || conn_expired(&p->key, c, state, w->now))
		return PASS;
	index = conn_server(word);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	w->method = conn_method(word);
	return deliver(w, s, index, 0);
}

#endif
