/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* send.h - a packet whose server is known is forwarded by its method, and counted. */
#ifndef WEIR_FORWARD_SEND_H
#define WEIR_FORWARD_SEND_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "forward/direct.h"
#include "forward/local.h"
#include "forward/mtu.h"
#include "forward/nat.h"
#include "forward/tunnel.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * to_server sends a client's packet to its server by the connection's method: behind NAT the
 * server's address adds sent->csum to a sum. It returns what nat, tunnel, direct and too_big do, and
 * counts the packet on FORWARD.
 */
static INLINE enum verdict to_server(const struct headers *h, const struct packet *p, struct sent *sent,
				     const struct server *s, __u32 index, __u32 method, __u32 conns)
{
	enum verdict v;

	if (!fits(h, p, s, method))
		return too_big(h, p, sent, s, method);
	switch (METHOD_OF(method)) {
	case METHOD_NAT:
		v = nat(h, p, sent, s, method);
		break;
	case METHOD_TUN:
		v = tunnel(h, p, sent, s);
		break;
	default:
		v = direct(h, sent, s);
	}
	if (v == FORWARD) {
		count(&service_stats, s->service, conns, p->packets, p->bytes);
		count(&server_stats, index, conns, p->packets, p->bytes);
	}
	return v;
}

/*
 * to_client sends the packet of a server behind NAT to its client, from the virtual
 * address, and counts it. It returns what nat_back does.
 */
static INLINE enum verdict to_client(const struct headers *h, const struct packet *p, struct sent *sent,
				     const struct addr *vip, const struct next_hop *back, __u32 service,
				     __u32 index)
{
	enum verdict v = nat_back(h, p, sent, vip, back);

	if (v == FORWARD) {
		count_out(&service_stats, service, p->packets, p->bytes);
		count_out(&server_stats, index, p->packets, p->bytes);
	}
	return v;
}

/*
 * send_on sends a packet on which the full path has decided FORWARD: to the client, the
 * local node or the server.
 */
static INLINE enum verdict send_on(const struct headers *h, const struct packet *p, struct sent *sent,
				   struct work *w)
{
	struct server *s;
	enum verdict v;

	sent->csum = w->csum;
	sent->csum_ports = w->csum_ports;
	if (w->to_client) {
		sent->new_port = ports_destination(w->reply.ports);
		v = to_client(h, p, sent, &w->reply.vip, &w->reply.route, w->service, w->server);
		return v == FORWARD && to_local_client(w) ? send_to_local_client(h, p, sent, w) : v;
	}
	s = bpf_map_lookup_elem(&servers, &w->server);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (s->flags & SERVER_LOCAL)
		return send_to_local_node(h, p, sent, s, w);
	v = to_server(h, p, sent, s, w->server, w->method, w->new_conns);
	if (v == FORWARD && w->end_there)
		end_hops(h);
	if (v == FORWARD && p->local_out)
		send_from_local_client(h, p, sent, s, w->method);
	return v;
}

#endif
