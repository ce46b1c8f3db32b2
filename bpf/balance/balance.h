/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * balance.h - the path of a parsed packet: by the flow cache where it has a line, or
 * else the full path.
 */
#ifndef WEIR_BALANCE_BALANCE_H
#define WEIR_BALANCE_BALANCE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/conntrack.h"
#include "balance/route.h"
#include "conn/flow_line.h"
#include "forward/direct.h"
#include "forward/send.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "service/addr_filter.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* The flags of a server to which the flow cache may send packets. */
#define FORWARDABLE (SERVER_PRESENT | SERVER_RESOLVED)

/*
 * cache_hit sends a packet by its line in the flow cache, where it has one and changes
 * no state, and sets v to the verdict. False: the packet must take the full path, and is
 * unchanged.
 */
static INLINE bool cache_hit(const struct headers *h, const struct packet *p, struct sent *sent,
			     enum verdict *v)
{
	struct flow_line *l;
	struct server *s;
	struct addr *vip;

	if (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return false;
	l = flow_find(&p->key, &sent->csum_ports);
	if (!l)
		return false;
	s = bpf_map_lookup_elem(&servers, &l->server);
	if (!s || (s->flags & (FORWARDABLE | SERVER_LOCAL)) != FORWARDABLE)
		return false;
	if (l->answers) {
		if (p->at_xdp && l->answers == ANSWERS_BY_TC)
			return false;
		vip = bpf_map_lookup_elem(&service_vips, &s->service);
		if (!vip || !same_addr(&s->addr, &p->key.from))
			return false;
		sent->new_port = l->of.out.vport;
		sent->csum = l->csum;
		*v = to_client(h, p, sent, vip, &l->of.out.route, s->service, l->server);
		return true;
	}
	if (l->of.in.sender != p->sender)
		return false;
	sent->csum = l->csum;
	*v = to_server(h, p, sent, s, l->server, l->method, 0);
	return true;
}

/*
 * route_asking is route_packet for a hook that can ask the kernel's connection tracking. Ctx
 * is the hook's context, w this CPU's work.
 */
static INLINE enum verdict route_asking(void *ctx, struct work *w, bool xdp)
{
	enum verdict v;

	w->can_ask = true;
	v = route_packet();
	w->can_ask = false;
	if (v == ASK_CONNTRACK)
		v = (xdp ? conntrack_xdp(ctx) : conntrack_tc(ctx)) ? pass(PASS_TRACKED) : route_packet();
	return v;
}

/* slow_route_asking is route_asking on the slow path. */
static INLINE enum verdict slow_route_asking(void *ctx, bool xdp)
{
	struct work *w = work_of();

	return w ? route_asking(ctx, w, xdp) : PASS;
}

/*
 * balance is the path of a parsed packet, and returns the verdict on it. Ctx is the hook's
 * context. At XDP, answers that leave by lo or by another device to which XDP does not send
 * are left to tc.
 */
static INLINE enum verdict balance(void *ctx, const struct headers *h, const struct packet *p, struct sent *sent,
				   bool xdp)
{
	struct work *w;
	enum verdict v;

	if (passes_by(&p->key))
		return PASS;
	if (cache_hit(h, p, sent, &v))
		return v;
	w = work_of();
	if (!w)
		return PASS;
	w->packet = *p;
	set_reply_route(w, h);
	w->last_hop = on_last_hop(h);
	v = route_asking(ctx, w, xdp);
	w->last_hop = false;
	return v == FORWARD ? send_on(h, p, sent, w) : v;
}

#endif
