/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* frame.h - from an Ethernet frame to the key of its flow. */
#ifndef WEIR_PARSE_FRAME_H
#define WEIR_PARSE_FRAME_H

#include "base/bpf.h"
#include "parse/address.h"
#include "parse/cursor.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "parse/ports.h"

/*
 * parse_ports reads the TCP or UDP header at the cursor: it sets the key's ports, the
 * TCP flags, and where the header and its checksum are. It returns PARSED, PARSED_SHORT,
 * PARSED_ICMP for the ICMP of the packet's family, or PARSED_OTHER for any other
 * protocol.
 */
static INLINE enum parsed parse_ports(struct cursor *c, struct headers *h, struct packet *p)
{
	struct udphdr *udp;
	struct tcphdr *tcp;

	switch (p->protocol) {
	case IPPROTO_TCP:
		tcp = take(c, sizeof(*tcp));
		if (!tcp)
			return PARSED_SHORT;
		h->l4 = (void *)tcp;
		h->check = &tcp->check;
		p->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_BYTE];
		p->key.ports = ports_word(tcp->source, tcp->dest, IPPROTO_TCP);
		return PARSED;
	case IPPROTO_UDP:
		udp = take(c, sizeof(*udp));
		if (!udp)
			return PARSED_SHORT;
		h->l4 = udp;
		h->check = &udp->check;
		p->tcp_flags = 0;
		p->key.ports = ports_word(udp->source, udp->dest, IPPROTO_UDP);
		return PARSED;
	}
	return p->protocol == (p->ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? PARSED_ICMP : PARSED_OTHER;
}

/*
 * eth_type is a frame's Ethernet type, in network byte order. The header's own type has no
 * alignment, so the compiler would read it byte by byte.
 */
static INLINE __be16 eth_type(const struct ethhdr *eth)
{
	return *(const __be16 *)((const void *)eth + offsetof(struct ethhdr, h_proto));
}

/* is_tag says whether an Ethernet type, in network byte order, announces a VLAN tag. */
static INLINE bool is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/*
 * parse reads a frame from its Ethernet header to its ports. The caller has set
 * p->ifindex and p->packets. Only on PARSED are the key, the sender and all of h valid;
 * PARSED_SLOW and the values above it are for the slow path.
 */
static INLINE enum parsed parse(void *data, void *end, struct headers *h, struct packet *p)
{
	struct cursor c = { data, end };
	enum parsed parsed;

	h->eth = take(&c, sizeof(*h->eth));
	if (!h->eth)
		return PARSED_SHORT;
	parsed = parse_ip(&c, eth_type(h->eth), h, p, NULL);
	if (parsed == PARSED_OTHER && is_tag(eth_type(h->eth)))
		return PARSED_TAGGED;
	if (parsed == PARSED)
		parsed = parse_ports(&c, h, p);
	if (parsed == PARSED)
		p->sender = sender_word(h->eth->h_source, p->ifindex);
	return parsed;
}

#endif
