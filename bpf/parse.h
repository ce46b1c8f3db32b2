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
	PARSED_SHORT,    /* ends before its headers do */
	PARSED_RARE,     /* from here on it is for rare.h: */
	PARSED_FRAGMENT = PARSED_RARE, /* a fragment: its ports may be elsewhere */
	PARSED_ICMP,     /* an error, perhaps */
	PARSED_TAGGED,   /* a VLAN's frame */
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
	bool own; /* this machine sends it itself */
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

/* What is known of a fragment. */
struct piece {
	__u32 id;
	bool first; /* there are more */
	bool later; /* without the packet's ports */
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

static INLINE bool is_ip4(const struct addr *a)
{
	return !a->hi && a->lo == MAPPED(UNMAPPED(a->lo));
}

/* is_loopback: of 127.0.0.0/8, or ::1. */
static INLINE bool is_loopback(const struct addr *a)
{
	const __u8 *bytes = (const __u8 *)a;

	return is_ip4(a) ? bytes[12] == 127 : !a->hi && a->lo == bpf_cpu_to_be64(1);
}

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
	return p->protocol == (p->ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ? PARSED_ICMP : PARSED_OTHER;
}

/*
 * parse_ip4 goes to where the transport header is. Fragments are only looked at
 * with a piece to tell of them; so with parse_ip6.
 */
static INLINE enum parsed parse_ip4(struct cursor *c, struct headers *h, struct packet *p,
				    struct piece *piece)
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
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) {
		if (!piece)
			return PARSED_FRAGMENT;
		piece->id = ip->id;
		piece->later = ip->frag_off & bpf_htons(IP_OFFSET);
		piece->first = !piece->later;
	}
	options = (ip->ihl - 5) * 4;
	if (options && !take(c, options & 63))
		return PARSED_SHORT;
	return piece && piece->later ? PARSED_FRAGMENT : PARSED;
}

/* The fragment header of IPv6 (RFC 8200 section 4.5). */
struct fragment_header {
	__u8 next, reserved;
	__be16 offset; /* and flags */
	__be32 id;
};

#define FRAGMENT_MORE 1
#define FRAGMENT_OFFSET 0xfff8

/* parse_piece looks at it; one that is the whole packet is none (RFC 6946). */
static INLINE struct fragment_header *parse_piece(struct cursor *c, struct piece *piece)
{
	struct fragment_header *f = take(c, sizeof(*f));

	if (!f)
		return NULL;
	piece->id = f->id;
	piece->later = f->offset & bpf_htons(FRAGMENT_OFFSET);
	piece->first = !piece->later && f->offset & bpf_htons(FRAGMENT_MORE);
	return f;
}

/* The extension headers that may stand before the transport header (RFC 8200). */
#define MAX_EXTENSIONS 6

static INLINE enum parsed parse_ip6(struct cursor *c, struct headers *h, struct packet *p,
				    struct piece *piece)
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
			fragment = parse_piece(c, piece);
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

/* parse_ip reads the IP header that a frame's type announces. */
static INLINE enum parsed parse_ip(struct cursor *c, __be16 type, struct headers *h,
				   struct packet *p, struct piece *piece)
{
	switch (type) {
	case bpf_htons(ETH_P_IP):
		return parse_ip4(c, h, p, piece);
	case bpf_htons(ETH_P_IPV6):
		return parse_ip6(c, h, p, piece);
	}
	return PARSED_OTHER;
}

static INLINE bool is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* The low 6 bytes of the word are the Ethernet address, first byte lowest. */
static INLINE __u64 mac_word(const __u8 *mac)
{
	return *(__u16 *)mac | (__u64)*(__u16 *)(mac + 2) << 16 | (__u64)*(__u16 *)(mac + 4) << 32;
}

static INLINE enum parsed parse(void *data, void *end, struct headers *h, struct packet *p)
{
	struct cursor c = { data, end };
	enum parsed parsed;

	h->eth = take(&c, sizeof(*h->eth));
	if (!h->eth)
		return PARSED_SHORT;
	parsed = parse_ip(&c, h->eth->h_proto, h, p, NULL);
	if (parsed == PARSED_OTHER && is_tag(h->eth->h_proto))
		return PARSED_TAGGED;
	if (parsed == PARSED)
		parsed = parse_ports(&c, h, p);
	if (parsed == PARSED) {
		h->check_offset = (void *)h->check - data;
		p->sender = mac_word(h->eth->h_source) | (__u64)p->ifindex << 48;
	}
	return parsed;
}

#endif
