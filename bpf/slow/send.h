/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* send.h - the slow path's decision on a packet, and its sending. */
#ifndef WEIR_SLOW_SEND_H
#define WEIR_SLOW_SEND_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/begin.h"
#include "conn/reply_key.h"
#include "forward/direct.h"
#include "forward/local.h"
#include "forward/mtu.h"
#include "forward/nat.h"
#include "forward/send.h"
#include "forward/tunnel.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "service/server.h"
#include "slow/fragment.h"
#include "slow/icmp_quote.h"
#include "slow/icmp_related.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * slow_route is the verdict on a packet without ports: a later fragment or an ICMP
 * error, about which no error is sent (RFC 1122 section 3.2.2). It is a global function,
 * which is verified by itself.
 */
__noinline int slow_route(void)
{
	struct work *w = work_of();
	enum verdict v;

	if (!w)
		return PASS;
	begin(w);
	v = w->slow.kind == SLOW_ICMP_ERROR ? route_icmp_error(w) : route_fragment(w);
	return v == REFUSE ? DROP : v;
}

/* slow_to_server sends a packet without ports to its server, and counts it. */
static INLINE enum verdict slow_to_server(const struct headers *h, const struct quote *q, struct sent *sent,
					  struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);
	const struct packet *p = &w->packet;
	__u32 method = w->method;
	struct addr *source;
	enum verdict v;
	bool up;

	if (!s)
		return drop(DROP_SERVER_REMOVED);
	up = s->flags & SERVER_LOCAL;
	if (!up && p->bytes + outer_bytes(s, method) > s->mtu) {
		v = too_big(h, p, sent, s, method);
		return q->icmp ? DROP : v;
	}
	switch (METHOD_OF(method)) {
	case METHOD_NAT:
		v = up ? LOCAL_NODE : direct(h, sent, s);
		if (v == DROP)
			break;
		if (q->icmp)
			translate_quote(h, q, w->slow.quoted.protocol == IPPROTO_UDP, &p->key.to, &s->addr,
					port_at(s, method, &p->key), true);
		else
			rewrite_addr(h, &p->key.to, &s->addr, true);
		break;
	case METHOD_TUN:
		v = tunnel(h, p, sent, s);
		break;
	default:
		v = direct(h, sent, s);
	}
	source = local_client_source(s, &p->key, method);
	if (source && v == FORWARD && !q->icmp)
		rewrite_addr(h, &p->key.from, source, false);
	if (v != DROP) {
		count(&service_stats, s->service, 0, p->packets, p->bytes);
		count(&server_stats, w->server, 0, p->packets, p->bytes);
	}
	return v;
}

/*
 * slow_to_client sends a packet without ports to its client, from the virtual address,
 * and counts it.
 */
static INLINE enum verdict slow_to_client(const struct headers *h, const struct quote *q, struct sent *sent,
					  struct work *w)
{
	const struct packet *p = &w->packet;
	bool to_vip = reply_to_vip(&w->reply.route);

	if (!decrement_ttl(h))
		return drop(DROP_TTL);
	/* With to_vip the server is not behind NAT: only one of the two addresses changes. */
	if (q->icmp)
		translate_quote(h, q, w->slow.quoted.protocol == IPPROTO_UDP,
				to_vip ? &p->key.to : &p->key.from, &w->reply.vip,
				to_vip ? w->reply.ports : ports_destination(w->reply.ports), to_vip);
	else
		rewrite_addr(h, &p->key.from, &w->reply.vip, false);
	set_next_hop(h, sent, &w->reply.route);
	count_out(&service_stats, w->service, p->packets, p->bytes);
	count_out(&server_stats, w->server, p->packets, p->bytes);
	if (!to_local_client(w))
		return FORWARD;
	if (to_vip && !q->icmp)
		rewrite_addr(h, &p->key.to, &w->reply.vip, true);
	sent->ifindex = LO_IFINDEX;
	return LOCAL_CLIENT;
}

/*
 * slow_send sends a packet on which route_packet or slow_route has decided FORWARD. It
 * returns the final verdict.
 */
static INLINE enum verdict slow_send(const struct headers *h, const struct quote *q, struct sent *sent,
				     struct work *w)
{
	enum verdict v;

	if (q->icmp ? !q->l4 : w->slow.kind < SLOW_LATER_FRAGMENT && (!h->l4 || !h->check))
		return DROP;
	if (!q->icmp && h->l4 && h->check)
		return send_on(h, &w->packet, sent, w);
	v = w->to_client ? slow_to_client(h, q, sent, w) : slow_to_server(h, q, sent, w);
	if (v != DROP && q->icmp)
		note(NOTE_ICMP_FORWARDED);
	return v;
}

#endif
