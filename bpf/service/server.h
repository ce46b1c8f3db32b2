/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* server.h - questions about a real server and the forward method of its connections. */
#ifndef WEIR_SERVICE_SERVER_H
#define WEIR_SERVICE_SERVER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "parse/ports.h"

/* The index of no server. */
#define NO_SERVER (~0U)

/* server_present says whether the server with this index is in its service's list. */
static INLINE bool server_present(__u32 server)
{
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	return s && s->flags & SERVER_PRESENT;
}

/*
 * local_addr is one of this machine's addresses by its index in local_addrs, or NULL for
 * 0.
 */
static INLINE struct addr *local_addr(__u32 index)
{
	return index ? bpf_map_lookup_elem(&local_addrs, &index) : NULL;
}

/*
 * local_client_source is the source address that a local client's packet gets on the way
 * to this server, or NULL where it keeps its own. Only by direct routing and tunnels,
 * and only where the client has the virtual address itself, is it another one.
 */
static INLINE struct addr *local_client_source(const struct server *s, const struct flow_key *key,
					       __u32 method)
{
	if (!(method & METHOD_LOCAL_CLIENT) || METHOD_OF(method) == METHOD_NAT ||
	    !same_addr(&key->from, &key->to))
		return NULL;
	return local_addr(s->inner_source);
}

/*
 * new_conn_method is the method (enum method, with its flags) of a new connection to the
 * server.
 */
static INLINE __u32 new_conn_method(const struct server *s, const struct packet *p)
{
	return s->method | (p->local_out ? METHOD_LOCAL_CLIENT : 0);
}

/*
 * delivered_locally says whether a packet goes up the local stack unchanged: its server
 * is this machine, and is not behind NAT or has a loopback address, from which no answer
 * leaves.
 */
static INLINE bool delivered_locally(const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_LOCAL))
		return false;
	return METHOD_OF(method) != METHOD_NAT || is_loopback(&s->addr);
}

/*
 * needs_reply says whether a connection to the server has to know its other direction: behind NAT,
 * and for a local client.
 */
static INLINE bool needs_reply(const struct server *s, __u32 method)
{
	if (METHOD_OF(method) == METHOD_NAT)
		return !delivered_locally(s, method);
	return method & METHOD_LOCAL_CLIENT && !(s->flags & SERVER_LOCAL);
}

/*
 * port_at is the port, in network byte order, that a flow's packets have at the server:
 * the server's own, or the one that the client asked for.
 */
static INLINE __u16 port_at(const struct server *s, __u32 method, const struct flow_key *key)
{
	return method & METHOD_KEEPS_PORT ? ports_destination(key->ports) : s->port;
}

#endif
