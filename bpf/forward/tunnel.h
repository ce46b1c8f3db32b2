/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tunnel.h - tunnelling: the packet as it is, with an outer IP header in front
 * (RFC 2003, RFC 2473, RFC 4213; ip_vs_tunnel_xmit, net/netfilter/ipvs/
 * ip_vs_xmit.c). Families may be mixed.
 */
#ifndef WEIR_FORWARD_TUNNEL_H
#define WEIR_FORWARD_TUNNEL_H

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
 * outer_bytes is the length of the outer header of what is sent to a server by this
 * method; 0 where it is no tunnel.
 */
static INLINE __u32 outer_bytes(const struct server *s, __u32 method)
{
	if (METHOD_OF(method) != METHOD_TUN)
		return 0;
	return is_ip4(&s->addr) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/*
 * tunnel prepares the outer header, which the hook puts in front of the packet. TTL,
 * type of service and "don't fragment" are the packet's. It returns FORWARD, or counts
 * DROP_NO_NEXT_HOP or DROP_TTL.
 */
static INLINE enum verdict tunnel(const struct headers *h, const struct packet *p, struct sent *sent,
				  const struct server *s)
{
	struct addr *source = local_addr(s->source);
	struct work *w = work_of();
	struct outer *o;

	if (!w || !source || !(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	if (!decrement_ttl(h))
		return drop(DROP_TTL);
	o = &w->outer;
	o->from = *source;
	o->to = s->addr;
	o->next_hop = s->next_hop;
	o->length = p->bytes;
	if (h->ip4) {
		o->protocol = IPPROTO_IPIP;
		o->tos = h->ip4->tos;
		o->ttl = h->ip4->ttl;
		o->df = h->ip4->frag_off & bpf_htons(IP_DF);
	} else if (h->ip6) {
		o->protocol = IPPROTO_IPV6;
		o->tos = bpf_ntohl(*(__be32 *)h->ip6) >> 20;
		o->ttl = h->ip6->hop_limit;
		o->df = 0;
	}
	sent->outer = outer_bytes(s, METHOD_TUN);
	sent->ifindex = s->next_hop.ifindex;
	return FORWARD;
}

/* outer4 writes the outer IPv4 header. One with DF needs no identification (RFC 6864). */
static INLINE void outer4(struct iphdr *ip, const struct outer *o)
{
	struct iphdr head = {
		.version = 4,
		.ihl = sizeof(head) / 4,
		.tos = o->tos,
		.tot_len = bpf_htons(sizeof(head) + o->length),
		.id = o->df ? 0 : bpf_get_prandom_u32(),
		.frag_off = o->df,
		.ttl = o->ttl,
		.protocol = o->protocol,
		.saddr = UNMAPPED(o->from.lo),
		.daddr = UNMAPPED(o->to.lo),
	};
	__u32 *words = (__u32 *)&head;
	__u64 sum = (__u64)words[0] + words[1] + words[2] + words[3] + words[4];

	head.check = csum_fold(sum);
	__builtin_memcpy(ip, &head, sizeof(head));
}

/* outer6 writes the outer IPv6 header. */
static INLINE void outer6(struct ipv6hdr *ip, const struct outer *o)
{
	struct ipv6hdr head = {
		.payload_len = bpf_htons(o->length),
		.nexthdr = o->protocol,
		.hop_limit = o->ttl,
	};

	*(__be32 *)&head = bpf_htonl(6U << 28 | (__u32)o->tos << 20);
	__builtin_memcpy(&head.saddr, &o->from, 16);
	__builtin_memcpy(&head.daddr, &o->to, 16);
	__builtin_memcpy(ip, &head, sizeof(head));
}

/*
 * outer_write writes the Ethernet header, so many bytes of VLAN tags, and the outer
 * header of so many bytes into a frame that has got the room for them. False: the frame
 * is too short.
 */
static INLINE bool outer_write(void *data, void *end, const struct work *w, __u32 bytes, __u32 tag_bytes)
{
	const struct outer *o = &w->outer;
	struct ethhdr *eth = data;
	__be16 *type = data + offsetof(struct ethhdr, h_proto);

	if (data + sizeof(*eth) + sizeof(w->slow.tags) + sizeof(struct ipv6hdr) > end)
		return false;
	copy_mac(eth->h_dest, o->next_hop.dst);
	copy_mac(eth->h_source, o->next_hop.src);
	if (tag_bytes) {
		__builtin_memcpy(type, &w->slow.tags[0], TAG_BYTES);
		type += TAG_BYTES / sizeof(*type);
	}
	if (tag_bytes > TAG_BYTES) {
		__builtin_memcpy(type, &w->slow.tags[1], TAG_BYTES);
		type += TAG_BYTES / sizeof(*type);
	}
	if (bytes == sizeof(struct iphdr)) {
		*type = bpf_htons(ETH_P_IP);
		outer4((void *)(type + 1), o);
	} else {
		*type = bpf_htons(ETH_P_IPV6);
		outer6((void *)(type + 1), o);
	}
	return true;
}

#endif
