/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * nat.h - masquerading: a packet to the server gets the server's address and port, and
 * a packet to the client the virtual ones.
 */
#ifndef WEIR_FORWARD_NAT_H
#define WEIR_FORWARD_NAT_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/direct.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "service/server.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * csum_apply_hop is csum_apply_once with a hop less to live, too: TTL is the high byte of its word in
 * network byte order (RFC 1624), so that takes 1 off the sum. Sum is not 0: no address adds that.
 */
static INLINE __u16 csum_apply_hop(__u16 check, __u16 sum)
{
	__u32 all = 0xffff - check + sum - bpf_htons(0x0100);

	return ~(all + (all >> 16));
}

/*
 * rewrite_header writes another destination or source address into the IP header, with hop a hop
 * less to live, too, and corrects the IPv4 checksum once for both. Csum is what the address adds to
 * a sum (csum_addr). False: the packet has no hop left, and is unchanged.
 */
static INLINE bool rewrite_header(const struct headers *h, const struct addr *new, __u32 csum, bool destination,
				  bool hop)
{
	if (h->ip4) {
		if (hop && h->ip4->ttl <= 1)
			return false;
		h->ip4->check = hop ? csum_apply_hop(h->ip4->check, csum) : csum_apply(h->ip4->check, csum);
		h->ip4->ttl -= hop;
		if (destination)
			h->ip4->daddr = UNMAPPED(new->lo);
		else
			h->ip4->saddr = UNMAPPED(new->lo);
	} else if (h->ip6) {
		if (hop && h->ip6->hop_limit <= 1)
			return false;
		h->ip6->hop_limit -= hop;
		if (destination)
			__builtin_memcpy(&h->ip6->daddr, new, 16);
		else
			__builtin_memcpy(&h->ip6->saddr, new, 16);
	}
	return true;
}

/* rewrite_addr is rewrite_header for an address alone, and returns what it adds to a sum. */
static INLINE __u32 rewrite_addr(const struct headers *h, const struct addr *old, const struct addr *new,
				 bool destination)
{
	__u32 csum = csum_addr(old, new, h->ip4 != NULL);

	rewrite_header(h, new, csum, destination, false);
	return csum;
}

/*
 * update_l4_csum corrects a complete transport checksum by what has been added to its sum. A UDP
 * datagram without a checksum keeps none (RFC 768).
 */
static INLINE void update_l4_csum(const struct headers *h, const struct packet *p, __u16 csum)
{
	__u16 check;

	if (p->protocol != IPPROTO_UDP) {
		*h->check = csum_apply_once(*h->check, csum);
		return;
	}
	if (h->ip4 && !*h->check) /* it has no checksum (RFC 768) */
		return;
	check = csum_apply_once(*h->check, csum);
	*h->check = check ? check : 0xffff;
}

/*
 * rewrite writes another destination or source address into the packet, and the port
 * sent->new_port; with hop it takes a hop from it, too. Sent->csum is what the address adds to a
 * sum, and sent->csum_ports what the port adds as well. Where the transport checksum is not complete,
 * the hook corrects it, by what sent says has changed. False: the packet has no hop left, and is unchanged.
 */
static INLINE bool rewrite(const struct headers *h, const struct packet *p, struct sent *sent,
			   const struct addr *new, bool destination, bool hop)
{
	__u16 *port = destination ? &h->l4->dest : &h->l4->source;

	if (!rewrite_header(h, new, sent->csum, destination, hop))
		return false;
	sent->old_port = *port;
	*port = sent->new_port;
	if (h->summed)
		update_l4_csum(h, p, sent->csum_ports);
	else
		sent->nat = true;
	return true;
}

/* rewrite_second writes one more address into a packet that may have been rewritten. */
static INLINE void rewrite_second(const struct headers *h, const struct packet *p, struct sent *sent,
				  const struct addr *old, const struct addr *new, bool destination)
{
	__u32 csum = rewrite_addr(h, old, new, destination);

	if (h->summed) {
		update_l4_csum(h, p, csum_folded(csum));
		return;
	}
	sent->csum_ports = csum_folded(sent->csum_ports + csum);
	sent->nat = true;
}

/*
 * nat sends a client's packet to its server behind NAT, whose address adds sent->csum to a sum. It
 * returns FORWARD, or counts DROP_NO_NEXT_HOP or DROP_TTL.
 */
static INLINE enum verdict nat(const struct headers *h, const struct packet *p, struct sent *sent,
			       const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	sent->new_port = port_at(s, method, &p->key);
	if (!rewrite(h, p, sent, &s->addr, true, true))
		return drop(DROP_TTL);
	set_next_hop(h, sent, &s->next_hop);
	return FORWARD;
}

/*
 * nat_back sends a server's packet to its client, from the virtual address, which adds sent->csum to
 * a sum, and the port sent->new_port. It returns FORWARD, or counts DROP_TTL.
 */
static INLINE enum verdict nat_back(const struct headers *h, const struct packet *p, struct sent *sent,
				    const struct addr *vip, const struct next_hop *back)
{
	if (!rewrite(h, p, sent, vip, false, true))
		return drop(DROP_TTL);
	set_next_hop(h, sent, back);
	return FORWARD;
}

#endif
