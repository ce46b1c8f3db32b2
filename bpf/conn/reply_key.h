/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* reply_key.h - the key of the packets that a server sends back to its client. */
#ifndef WEIR_CONN_REPLY_KEY_H
#define WEIR_CONN_REPLY_KEY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/ports.h"
#include "service/server.h"

/*
 * reply_key works out the key that the server's answers to a flow carry, behind NAT or
 * to a local client.
 */
static INLINE void reply_key(struct flow_key *reply, const struct flow_key *key, const struct server *s,
			     __u32 method)
{
	__u64 port = port_at(s, method, key);

	reply->from = s->addr;
	reply->to = key->from;
	if (METHOD_OF(method) != METHOD_NAT) {
		struct addr *source = local_client_source(s, key, method);

		port = ports_destination(key->ports);
		reply->from = key->to;
		if (source)
			reply->to = *source;
	}
	reply->ports = ports_word(port, ports_source(key->ports), ports_protocol(key->ports));
}

/* reply_to_vip says whether packets to the client get its virtual address (REPLY_TO_VIP). */
static INLINE bool reply_to_vip(const struct next_hop *route)
{
	return route->ifindex & REPLY_TO_VIP;
}

/* reply_is_local says whether the client is a local one. */
static INLINE bool reply_is_local(const struct next_hop *route)
{
	return (route->ifindex & ~REPLY_TO_VIP) == LO_IFINDEX;
}

/*
 * reply_by_tc says whether an answer that came in by one device leaves by another one to
 * which XDP does not send, or to a local client: then XDP leaves it to tc. Its way out is
 * that of the client's packets, whatever device that is.
 */
static INLINE bool reply_by_tc(const struct next_hop *route, __u32 from)
{
	__u32 to = route->ifindex & ~REPLY_TO_VIP;

	return to != from && !bpf_map_lookup_elem(&xdp_exits, &to);
}

#endif
