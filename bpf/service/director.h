/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * director.h - packets that another director has forwarded, which are never forwarded again.
 *
 * By direct routing a packet keeps its source, so a frame from a director's Ethernet
 * address was forwarded by it, unless the route back to the packet's source leads to that
 * address as well: then the director is the client, or a router on the way from the
 * client. A loop of directors would need the routes to the client to be a loop, too, so at
 * least one director of each loop recognizes the packet. Only where all frames of a
 * network have one Ethernet address nobody can tell; there a packet is not forwarded to
 * another director unless this one is master (may_loop). It is then sent on so that it may
 * go no farther (ends_there): where two directors are master at a time, because they do not
 * hear each other, it would circle between them.
 *
 * Routes back come from a table that Go keeps (internal/dataplane/lease): bpf_fib_lookup
 * refuses to answer on a machine that does not forward packets itself, as a director by
 * direct routing need not.
 */
#ifndef WEIR_SERVICE_DIRECTOR_H
#define WEIR_SERVICE_DIRECTOR_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "service/lease.h"

/* Who sent a frame. */
enum origin {
	ORIGIN_CLIENT,    /* no director */
	ORIGIN_UNCERTAIN, /* a client at or behind a director's Ethernet address, or a director */
	ORIGIN_DIRECTOR,  /* another director, which has forwarded it */
};

/*
 * Networks whose route leads by another director: its Ethernet address (mac_word). 0: by
 * no director, inside of a larger network whose route does.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u64);
	__uint(max_entries, MAX_DIRECTOR_ROUTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} director_routes SEC(".maps");

/*
 * director_bit is the bit of an Ethernet address (mac_word) in director_filter. Go
 * computes the same (DirectorBit).
 */
static INLINE __u32 director_bit(__u64 mac)
{
	return (mac >> DIRECTOR_HIGH_SHIFT ^ mac >> DIRECTOR_LOW_SHIFT) & DIRECTOR_MASK;
}

/* director_origin is origin_of for a frame whose address the bit filter has. */
static NOINLINE enum origin director_origin(const struct packet *p)
{
	struct prefix source = { .bits = 128 };
	__u64 mac = sender_mac(p->sender), *by;
	__u8 *kind = bpf_map_lookup_elem(&directors, &mac);

	if (!kind)
		return ORIGIN_CLIENT;
	if (*kind == DIRECTOR_SHARES_MAC)
		return ORIGIN_UNCERTAIN;
	__builtin_memcpy(source.addr, &p->key.from, sizeof(source.addr));
	by = bpf_map_lookup_elem(&director_routes, &source);
	return by && *by == mac ? ORIGIN_UNCERTAIN : ORIGIN_DIRECTOR;
}

/*
 * origin_of says who sent the packet's frame. A bit filter answers for almost all
 * packets.
 */
static INLINE enum origin origin_of(const struct packet *p)
{
	if (!(director_filter >> director_bit(sender_mac(p->sender)) & 1))
		return ORIGIN_CLIENT;
	return director_origin(p);
}

/*
 * from_director says whether another director has forwarded the packet: last_hop is what such
 * a director does to one of which that cannot be told otherwise (ends_there).
 */
static INLINE bool from_director(enum origin origin, bool last_hop)
{
	return origin == ORIGIN_DIRECTOR || (origin == ORIGIN_UNCERTAIN && last_hop);
}

/* to_director says whether a packet reaches the server as it is, and another director there. */
static INLINE bool to_director(const struct server *s, __u32 method)
{
	return s->flags & SERVER_DIRECTOR && (method & METHOD_MASK) == METHOD_DR;
}

/*
 * ends_there says whether a packet that is forwarded to the server must be left no hop beyond
 * it: the server is another director and this machine's neighbour, and may take the packet
 * for a client's.
 */
static INLINE bool ends_there(enum origin origin, const struct server *s, __u32 method)
{
	return to_director(s, method) && !(s->flags & SERVER_BY_ROUTER) && origin == ORIGIN_UNCERTAIN;
}

/*
 * may_cache says whether a packet's flow to the server may have a line in the flow cache,
 * which asks neither who sent a packet nor for the lease.
 */
static INLINE bool may_cache(enum origin origin, __u32 server, __u32 method)
{
	struct server *s;

	if (origin != ORIGIN_UNCERTAIN)
		return origin == ORIGIN_CLIENT;
	s = bpf_map_lookup_elem(&servers, &server);
	return s && !to_director(s, method);
}

/*
 * may_loop says whether the packet must not be forwarded to the server: a director has
 * forwarded it; or that cannot be told, the server is another director, to which it would
 * go as it is, and this one is not master for the address. A director that is master was
 * not sent the packet by another one, since no two are at a time; where two are, it comes
 * with its last hop.
 */
static INLINE bool may_loop(enum origin origin, const struct packet *p, const struct server *s, __u32 method,
			    bool last_hop)
{
	__u32 *lease;

	if (origin != ORIGIN_UNCERTAIN)
		return origin == ORIGIN_DIRECTOR;
	if (last_hop)
		return true;
	if (!to_director(s, method))
		return false;
	lease = bpf_map_lookup_elem(&vips, &p->key.to);
	return !lease || !lease_runs(*lease);
}

#endif
