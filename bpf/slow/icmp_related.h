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
#include "conn/index.h"
#include "conn/older.h"
#include "conn/reply.h"
#include "conn/word.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * route_icmp_error is the verdict on an ICMP error: it goes where the packets of its
 * connection go. It is PASS where there is no connection.
 */
static INLINE enum verdict route_icmp_error(struct work *w)
{
	const struct packet *p = &w->packet;
	__u64 found = conn_seek(index_hash(&p->key), &p->key), word;
	struct conn *c = found_conn(found, &word);
	struct server *s;
	__u32 index, state;

	if (!c)
		return PASS;
	state = conn_state(word);
	index = conn_server(word);
	if (found_answers(found)) {
		w->server = index;
		reply_to(w, c);
		return FORWARD;
	}
	if (conn_expired(c, state, w->now))
		return PASS;
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	w->method = conn_method(word);
	return deliver(w, s, index, 0);
}

#endif
