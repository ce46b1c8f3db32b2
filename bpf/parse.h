/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* parse.h - from a frame to a flow. */
#ifndef WEIR_PARSE_H
#define WEIR_PARSE_H

struct cursor {
	void *pos, *end;
};

/* take moves the cursor over n bytes and returns where they begin, or NULL. */
static INLINE void *take(struct cursor *c, __u32 n)
{
	void *p = c->pos;

	if (p + n > c->end)
		return NULL;
	c->pos = p + n;
	return p;
}

enum parsed {
	PARSED,          /* TCP or UDP with its ports */
	PARSED_OTHER,    /* nothing that a service could want */
	PARSED_FRAGMENT, /* a fragment: its ports may be elsewhere */
	PARSED_SHORT,    /* ends before its headers do */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* What is known of a packet. */
struct packet {
	struct flow_key key;
	__u64 sender;   /* the frame's source address | the device's index << 48 */
	__u32 bytes;    /* from the IP header on */
	__u32 packets;  /* 1, or the segments of a GSO packet */
	__u32 ifindex;  /* where it came in */
	__u8 protocol;
	__u8 tcp_flags; /* 0 where it is UDP */
	bool ip6;
};

/* Where its headers are. */
struct headers {
	struct ethhdr *eth;
	struct iphdr *ip4; /* one of the two is NULL */
	struct ipv6hdr *ip6;
	struct udphdr *l4; /* the UDP header; TCP's ports stand alike */
	__u16 *check;      /* the transport checksum, so many bytes into the frame */
	__u32 check_offset;
};

/* IPv4 as the two words of ::ffff:a.b.c.d. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MAPPED(ip4_) (0xffff0000ULL | (__u64)(ip4_) << 32)
#else
#define MAPPED(ip4_) (0xffffULL << 32 | (__u64)(ip4_))
#endif

/* The IPv4 address in the mapped one's second word. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define UNMAPPED(lo_) ((__u32)((lo_) >> 32))
#else
#define UNMAPPED(lo_) ((__u32)(lo_))
#endif

static INLINE bool same_addr(const struct addr *a, const struct addr *b)
{
	return a->lo == b->lo && a->hi == b->hi;
}

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
		p->tcp_flags = ((__u8 *)tcp)[13];
		p->key.ports = tcp->source | (__u32)tcp->dest << 16 | (__u64)IPPROTO_TCP << 32;
		return PARSED;
	case IPPROTO_UDP:
		udp = take(c, sizeof(*udp));
		if (!udp)
			return PARSED_SHORT;
		h->l4 = udp;
		h->check = &udp->check;
		p->tcp_flags = 0;
		p->key.ports = udp->source | (__u32)udp->dest << 16 | (__u64)IPPROTO_UDP << 32;
		return PARSED;
	}
	return PARSED_OTHER;
}

static INLINE enum parsed parse_ip4(struct cursor *c, struct headers *h, struct packet *p)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	__u32 options;

	if (!ip)
		return PARSED_SHORT;
	if (ip->version != 4 || ip->ihl < 5)
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
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return PARSED_FRAGMENT;
	options = (ip->ihl - 5) * 4;
	if (options && !take(c, options & 63))
		return PARSED_SHORT;
	return parse_ports(c, h, p);
}

/* The extension headers that may stand before the transport header (RFC 8200). */
#define MAX_EXTENSIONS 6

static INLINE enum parsed parse_ip6(struct cursor *c, struct headers *h, struct packet *p)
{
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
			return PARSED_FRAGMENT;
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
	return parse_ports(c, h, p);
}

/* The low 6 bytes of the word are the Ethernet address, first byte lowest. */
static INLINE __u64 mac_word(const __u8 *mac)
{
	return *(__u16 *)mac | (__u64)*(__u16 *)(mac + 2) << 16 | (__u64)*(__u16 *)(mac + 4) << 32;
}

static INLINE enum parsed parse(void *data, void *end, struct headers *h, struct packet *p)
{
	struct cursor c = { data, end };
	enum parsed parsed = PARSED_OTHER;

	h->eth = take(&c, sizeof(*h->eth));
	if (!h->eth)
		return PARSED_SHORT;
	switch (h->eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		parsed = parse_ip4(&c, h, p);
		break;
	case bpf_htons(ETH_P_IPV6):
		parsed = parse_ip6(&c, h, p);
		break;
	}
	if (parsed == PARSED) {
		h->check_offset = (void *)h->check - data;
		p->sender = mac_word(h->eth->h_source) | (__u64)p->ifindex << 48;
	}
	return parsed;
}

#endif
