/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* direct.h - direct routing: new MAC addresses, and one hop less to live. */
#ifndef WEIR_FORWARD_DIRECT_H
#define WEIR_FORWARD_DIRECT_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * decrement_ttl decrements the TTL or hop limit, and corrects the IPv4 checksum. False:
 * the packet may go no farther, and is unchanged.
 */
static INLINE bool decrement_ttl(const struct headers *h)
{
	if (h->ip4) {
		__u32 check;

		if (h->ip4->ttl <= 1)
			return false;
		/* RFC 1624: TTL is the high byte of its 16-bit word. */
		check = h->ip4->check + bpf_htons(0x0100);
		h->ip4->check = check + (check >= 0xffff);
		h->ip4->ttl--;
		return true;
	}
	if (!h->ip6 || h->ip6->hop_limit <= 1)
		return false;
	h->ip6->hop_limit--;
	return true;
}

/* on_last_hop says whether a packet may go no farther than to this machine. */
static INLINE bool on_last_hop(const struct headers *h)
{
	return h->ip4 ? h->ip4->ttl <= 1 : h->ip6 && h->ip6->hop_limit <= 1;
}

/* end_hops leaves a packet the one hop to the next machine, and corrects the IPv4 checksum. */
static INLINE void end_hops(const struct headers *h)
{
	if (h->ip4) {
		__u16 old = bpf_htons(h->ip4->ttl << 8);

		h->ip4->check = csum_apply(h->ip4->check, csum_short(old, bpf_htons(1 << 8)));
		h->ip4->ttl = 1;
	} else if (h->ip6) {
		h->ip6->hop_limit = 1;
	}
}

/*
 * set_next_hop writes the next hop's Ethernet addresses into the frame and its device
 * into sent.
 */
static INLINE void set_next_hop(const struct headers *h, struct sent *sent, const struct next_hop *w)
{
	copy_mac(h->eth->h_dest, w->dst);
	copy_mac(h->eth->h_source, w->src);
	sent->ifindex = w->ifindex;
}

/*
 * direct sends a packet to its server by direct routing. It returns FORWARD, or counts
 * DROP_NO_NEXT_HOP or DROP_TTL.
 */
static INLINE enum verdict direct(const struct headers *h, struct sent *sent, const struct server *s)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	if (!decrement_ttl(h))
		return drop(DROP_TTL);
	set_next_hop(h, sent, &s->next_hop);
	return FORWARD;
}

#endif
