/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ip.h - the IP header, with IPv4 options or IPv6 extension headers. */
#ifndef WEIR_PARSE_IP_H
#define WEIR_PARSE_IP_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"
#include "parse/cursor.h"
#include "parse/packet.h"

/* ip4_plain says whether an IPv4 header has no options, by its first byte: version 4, five words. */
static INLINE bool ip4_plain(const struct iphdr *ip)
{
	return *(const __u8 *)ip == 0x45;
}

/*
 * parse_ip4 reads the IPv4 header at the cursor, and moves the cursor to the transport
 * header. It returns PARSED, PARSED_SHORT, PARSED_OTHER for what is no IPv4, or
 * PARSED_FRAGMENT. Where piece is NULL, every fragment is PARSED_FRAGMENT; otherwise
 * piece is filled in, and only a fragment without ports is.
 */
static INLINE enum parsed parse_ip4(struct cursor *c, struct headers *h, struct packet *p,
				    struct ip_fragment *piece)
{
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return PARSED_SHORT;
	if (!ip4_plain(ip) && (ip->version != 4 || ip->ihl < 5))
		return PARSED_OTHER;
	h->ip4 = ip;
	h->ip6 = NULL;
	p->ip6 = false;
	p->protocol = ip->protocol;
	p->bytes = bpf_ntohs(ip->tot_len);
	p->key.from.hi = 0;
	p->key.from.lo = MAPPED(ip->saddr);
	p->key.to.hi = 0;
	p->key.to.lo = MAPPED(ip->daddr);
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		if (!piece)
			return PARSED_FRAGMENT;
		piece->id = ip->id;
		piece->later = ip->frag_off & bpf_htons(IP_OFFSET);
		piece->first = !piece->later;
	}
	if (!ip4_plain(ip) && !take(c, (ip->ihl - 5) * 4 & 63))
		return PARSED_SHORT;
	return piece && piece->later ? PARSED_FRAGMENT : PARSED;
}

/* The fragment header of IPv6 (RFC 8200 section 4.5), in network byte order. */
struct fragment_header {
	__u8 next, reserved;
	__be16 offset; /* with FRAGMENT_MORE */
	__be32 id;
};

/* The "more fragments" flag and the offset, in host byte order. */
#define FRAGMENT_MORE 1
#define FRAGMENT_OFFSET 0xfff8

/*
 * parse_fragment_header reads the IPv6 fragment header at the cursor into piece. A
 * fragment that is the whole packet (RFC 6946) is neither first nor later. It returns
 * NULL where the frame is too short.
 */
static INLINE struct fragment_header *parse_fragment_header(struct cursor *c, struct ip_fragment *piece)
{
	struct fragment_header *f = take(c, sizeof(*f));

	if (!f)
		return NULL;
	piece->id = f->id;
	piece->later = f->offset & bpf_htons(FRAGMENT_OFFSET);
	piece->first = !piece->later && f->offset & bpf_htons(FRAGMENT_MORE);
	return f;
}

/*
 * The most extension headers that are read before the transport header (RFC 8200 section
 * 4.1).
 */
#define MAX_EXTENSIONS 6

/*
 * parse_ip6 is parse_ip4 for IPv6 and its extension headers. A packet with more than
 * MAX_EXTENSIONS of them is left with an extension header as its protocol, which no
 * service has.
 */
static INLINE enum parsed parse_ip6(struct cursor *c, struct headers *h, struct packet *p,
				    struct ip_fragment *piece)
{
	struct fragment_header *fragment;
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	__u8 next, *ext;

	if (!ip)
		return PARSED_SHORT;
	h->ip4 = NULL;
	h->ip6 = ip;
	p->ip6 = true;
	p->bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	p->key.from = *(struct addr *)&ip->saddr;
	p->key.to = *(struct addr *)&ip->daddr;
	next = ip->nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		switch (next) {
		case IPPROTO_FRAGMENT:
			if (!piece)
				return PARSED_FRAGMENT;
			fragment = parse_fragment_header(c, piece);
			if (!fragment)
				return PARSED_SHORT;
			next = fragment->next;
			if (piece->later)
				return PARSED_FRAGMENT;
			continue;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			ext = take(c, 8);
			if (!ext)
				return PARSED_SHORT;
			next = ext[0];
			if (!take(c, (__u32)ext[1] * 8))
				return PARSED_SHORT;
			continue;
		}
		break;
	}
	p->protocol = next;
	return PARSED;
}

/*
 * parse_ip reads the IP header that the Ethernet type, in network byte order, announces.
 * It returns what parse_ip4 and parse_ip6 do, and PARSED_OTHER for any other type.
 */
static INLINE enum parsed parse_ip(struct cursor *c, __be16 type, struct headers *h, struct packet *p,
				   struct ip_fragment *piece)
{
	switch (type) {
	case bpf_htons(ETH_P_IP):
		return parse_ip4(c, h, p, piece);
	case bpf_htons(ETH_P_IPV6):
		return parse_ip6(c, h, p, piece);
	}
	return PARSED_OTHER;
}

#endif
