/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mtu.h - packets that do not fit into the path MTU of their server. */
#ifndef WEIR_FORWARD_MTU_H
#define WEIR_FORWARD_MTU_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/tunnel.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * mtu_told is the path MTU that an ICMP error tells the client. A local client is told
 * less with IPv6: Linux takes no path MTU for an address of its own unless it is below
 * the MTU of that address's device (rt6_insert_exception, net/ipv6/route.c).
 */
static INLINE __u32 mtu_told(const struct headers *h, const struct packet *p, __u32 mtu)
{
	return p->local_out && h->ip6 && mtu >= IP6_MIN_MTU + 8 ? mtu - 8 : mtu;
}

/*
 * fits says whether a packet and its outer header fit into its server's path MTU. Of a
 * GSO packet, TCP's segments are made to fit on the way; datagrams keep their length.
 */
static INLINE bool fits(const struct headers *h, const struct packet *p, const struct server *s, __u32 method)
{
	__u32 outer = outer_bytes(s, method), header;

	if (p->bytes + outer <= s->mtu)
		return true;
	if (p->packets == 1)
		return false;
	if (p->protocol != IPPROTO_UDP)
		return true;
	header = (void *)(h->l4 + 1) - (p->ip6 ? (void *)h->ip6 : (void *)h->ip4);
	return header + p->segment + outer <= s->mtu;
}

/*
 * too_big is the verdict on a packet that does not fit into its server's path MTU:
 * TOO_BIG, or DROP where the packet may be fragmented, since the director does not
 * fragment. A local client is always told, and its kernel then fragments; so is the sender
 * of a GSO packet, in which Linux leaves out "don't fragment" because the whole is long
 * (__ip_make_skb, net/ipv4/ip_output.c). It counts DROP_TOO_BIG, or DROP_NO_NEXT_HOP
 * where the path is unknown.
 */
static INLINE enum verdict too_big(const struct headers *h, const struct packet *p, struct sent *sent,
				   const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	note(DROP_TOO_BIG);
	sent->mtu = mtu_told(h, p, s->mtu - outer_bytes(s, method));
	if (h->ip4 && !p->local_out && p->packets == 1 && !(h->ip4->frag_off & bpf_htons(IP_DF)))
		return DROP;
	return TOO_BIG;
}

/*
 * server_mtu is how many bytes, from the IP header on, a packet to a server may have
 * before it gets an outer header; 0: any number.
 */
static INLINE __u32 server_mtu(const struct server *s, __u32 method)
{
	return s->flags & SERVER_LOCAL ? 0 : s->mtu - outer_bytes(s, method);
}

#endif
