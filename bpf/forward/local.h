/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * local.h - packets of local clients and of the local node. A local client is this
 * machine as a client of its own services, and the local node is this machine as a
 * server behind NAT.
 *
 * A client that binds no source address has the very address that it connects to. By
 * direct routing and tunnels its server has that address as well, and would treat it as
 * spoofed (martian): the server gets our address on the path to it instead. Answers to
 * a local client are found in the index whatever the method (conn/reply.h), and are sent
 * over lo: on any other device the stack takes no packet whose source is its own.
 */
#ifndef WEIR_FORWARD_LOCAL_H
#define WEIR_FORWARD_LOCAL_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/reply_key.h"
#include "forward/mtu.h"
#include "forward/nat.h"
#include "parse/packet.h"
#include "service/server.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* to_local_client says whether a packet with the verdict FORWARD goes to a local client. */
static INLINE bool to_local_client(const struct work *w)
{
	return w->to_client && reply_is_local(&w->reply.route);
}

/*
 * to_client_by_tc says whether a packet with the verdict FORWARD goes to a client by a
 * device to which XDP does not send.
 */
static INLINE bool to_client_by_tc(const struct work *w)
{
	return w->to_client && reply_by_tc(&w->reply.route, w->packet.ifindex);
}

/*
 * send_to_local_client ends the path of an answer to a local client: the hook sends it
 * over lo.
 */
static INLINE enum verdict send_to_local_client(const struct headers *h, const struct packet *p,
						struct sent *sent, const struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);

	if (reply_to_vip(&w->reply.route))
		rewrite_second(h, p, sent, &p->key.to, &w->reply.vip, true);
	sent->mtu = s ? server_mtu(s, w->method) : 0;
	sent->ifindex = LO_IFINDEX;
	return LOCAL_CLIENT;
}

/*
 * send_from_local_client writes a source that the server can answer to into a local
 * client's packet, and tells the hook the path MTU.
 */
static INLINE void send_from_local_client(const struct headers *h, const struct packet *p, struct sent *sent,
					  const struct server *s, __u32 method)
{
	struct addr *source = local_client_source(s, &p->key, method);

	sent->mtu = server_mtu(s, method);
	if (!source)
		return;
	sent->csum_ports = 0; /* its server is not behind NAT */
	rewrite_second(h, p, sent, &p->key.from, source, false);
}

/*
 * send_to_local_node translates a client's packet to a server behind NAT that is this
 * machine, and counts it. Any other method leaves the packet to the stack unchanged.
 */
static INLINE enum verdict send_to_local_node(const struct headers *h, const struct packet *p,
					      struct sent *sent, const struct server *s, const struct work *w)
{
	if (METHOD_OF(w->method) != METHOD_NAT)
		return PASS;
	sent->new_port = port_at(s, w->method, &p->key);
	rewrite(h, p, sent, &s->addr, true, false);
	count(&service_stats, s->service, w->new_conns, p->packets, p->bytes);
	count(&server_stats, w->server, w->new_conns, p->packets, p->bytes);
	return LOCAL_NODE;
}

#endif
