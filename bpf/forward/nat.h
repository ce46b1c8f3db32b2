/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * nat.h - masquerading: a packet to the server gets the server's address and port, and
 * a packet to the client the virtual ones.
 */
#ifndef WEIR_FORWARD_NAT_H
#define WEIR_FORWARD_NAT_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/checksum.h"
#include "forward/direct.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "service/server.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * What a hop less to live adds to the sum of an IPv4 header: TTL is the high byte of its 16-bit
 * word (RFC 1624).
 */
#define HOP_LESS ((__u16)~bpf_htons(0x0100))

/*
 * rewrite_header writes another destination or source address into the IP header, with hop a hop
 * less to live, too, and corrects the IPv4 checksum once for both. It returns what the address
 * adds to the transport checksum's sum.
 */
static INLINE __u32 rewrite_header(const struct headers *h, const struct addr *old, const struct addr *new,
				   bool destination, bool hop)
{
	__u32 sum = csum_addr(old, new, h->ip4 != NULL);

	if (h->ip4) {
		h->ip4->check = csum_apply(h->ip4->check, sum + (hop ? HOP_LESS : 0));
		h->ip4->ttl -= hop;
		if (destination)
			h->ip4->daddr = UNMAPPED(new->lo);
		else
			h->ip4->saddr = UNMAPPED(new->lo);
	} else if (h->ip6) {
		h->ip6->hop_limit -= hop;
		if (destination)
			__builtin_memcpy(&h->ip6->daddr, new, 16);
		else
			__builtin_memcpy(&h->ip6->saddr, new, 16);
	}
	return sum;
}

/* rewrite_addr is rewrite_header for an address alone. */
static INLINE __u32 rewrite_addr(const struct headers *h, const struct addr *old, const struct addr *new,
				 bool destination)
{
	return rewrite_header(h, old, new, destination, false);
}

/*
 * rewrite writes another destination or source address into the packet, and the port
 * sent->new_port; with hop it takes a hop from it, too. The hook corrects the transport checksum,
 * by what sent says has changed.
 */
static INLINE void rewrite(const struct headers *h, struct sent *sent, const struct addr *old,
			   const struct addr *new, bool destination, bool hop)
{
	sent->nat = true;
	sent->csum = rewrite_header(h, old, new, destination, hop);
	if (destination) {
		sent->old_port = h->l4->dest;
		h->l4->dest = sent->new_port;
	} else {
		sent->old_port = h->l4->source;
		h->l4->source = sent->new_port;
	}
}

/* rewrite_second writes one more address into a packet that may have been rewritten. */
static INLINE void rewrite_second(const struct headers *h, struct sent *sent, const struct addr *old,
				  const struct addr *new, bool destination)
{
	sent->nat = true;
	sent->csum += rewrite_addr(h, old, new, destination);
}

/*
 * update_l4_csum corrects the transport checksum in the frame, where it is complete. A
 * UDP datagram without a checksum keeps none (RFC 768).
 */
static INLINE void update_l4_csum(const struct headers *h, const struct packet *p, const struct sent *sent)
{
	bool udp = p->protocol == IPPROTO_UDP;

	if (udp && h->ip4 && !*h->check) /* it has no checksum (RFC 768) */
		return;
	*h->check = csum_apply(*h->check, sent->csum + csum_short(sent->old_port, sent->new_port));
	if (udp && !*h->check)
		*h->check = 0xffff;
}

/*
 * nat sends a client's packet to its server behind NAT. It returns FORWARD, or counts
 * DROP_NO_NEXT_HOP or DROP_TTL.
 */
static INLINE enum verdict nat(const struct headers *h, const struct packet *p, struct sent *sent,
			       const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	if (on_last_hop(h))
		return drop(DROP_TTL);
	sent->new_port = port_at(s, method, &p->key);
	rewrite(h, sent, &p->key.to, &s->addr, true, true);
	set_next_hop(h, sent, &s->next_hop);
	return FORWARD;
}

/*
 * nat_back sends a server's packet to its client, from the virtual address and the port
 * sent->new_port. It returns FORWARD, or counts DROP_TTL.
 */
static INLINE enum verdict nat_back(const struct headers *h, const struct packet *p, struct sent *sent,
				    const struct addr *vip, const struct next_hop *back)
{
	if (on_last_hop(h))
		return drop(DROP_TTL);
	rewrite(h, sent, &p->key.from, vip, false, true);
	set_next_hop(h, sent, back);
	return FORWARD;
}

#endif
