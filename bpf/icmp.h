/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * icmp.h - the ICMP errors that the director sends by itself, in the place of
 * the packet that they are about: back to where it came from, as from the
 * address that it was for (icmp_send, net/ipv4/icmp.c; icmp6_send,
 * net/ipv6/icmp.c).
 */
#ifndef WEIR_ICMP_H
#define WEIR_ICMP_H

/* The header of ICMP and of ICMPv6 errors (RFC 792, RFC 4443). */
struct icmp_head {
	__u8 type, code;
	__u16 check;
	__u32 rest;
};

struct icmp4_headers {
	struct iphdr ip;
	struct icmp_head icmp;
};

struct icmp6_headers {
	struct ipv6hdr ip;
	struct icmp_head icmp;
};

/*
 * The error that this CPU is sending, with all of the packet that is needed once
 * its bytes have moved.
 */
struct icmp_error {
	struct way back;
	struct addr from, to;
	__u64 sent;  /* the time until which errors have been sent */
	__u32 quote; /* bytes of the packet, from its IP header on */
	__be32 rest; /* of the header: the MTU */
	__u8 type, code;
	__u8 tos;
	bool ip6;
	__u32 tag_bytes; /* of VLAN tags, which it has like the packet */
	__u32 tags[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct icmp_error);
	__uint(max_entries, 1);
} icmp_errors SEC(".maps");

/* An error is no longer than every link must carry (RFC 1812 4.3.2.3, RFC 4443 2.4c). */
#define ICMP4_QUOTE (576 - sizeof(struct iphdr) - sizeof(struct icmp_head))
#define ICMP6_QUOTE (1280 - sizeof(struct ipv6hdr) - sizeof(struct icmp_head))

/*
 * icmp_about begins an error about a packet, of which the frame holds so many
 * bytes from the IP header on.
 */
static INLINE struct icmp_error *icmp_about(const struct headers *h, const struct packet *p, __u32 bytes)
{
	__u32 most = p->ip6 ? ICMP6_QUOTE : ICMP4_QUOTE, zero = 0;
	struct icmp_error *e = bpf_map_lookup_elem(&icmp_errors, &zero);

	if (!e)
		return NULL;
	__builtin_memcpy(e->back.dst, h->eth->h_source, 6);
	__builtin_memcpy(e->back.src, h->eth->h_dest, 6);
	e->from = p->key.to;
	e->to = p->key.from;
	e->ip6 = p->ip6;
	e->tos = h->ip4 ? h->ip4->tos : 0;
	e->tag_bytes = 0;
	e->quote = bytes < p->bytes ? bytes : p->bytes;
	if (e->quote > most)
		e->quote = most;
	return e;
}

/* Types and codes. */
#define ICMP4_UNREACHABLE 3
#define ICMP4_PORT 3
#define ICMP4_FRAGMENT 4
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG 2
#define ICMP6_PORT 4

/* icmp_refusal is the kernel's port unreachable: there is no server to be had. */
static INLINE struct icmp_error *icmp_refusal(const struct headers *h, const struct packet *p, __u32 bytes)
{
	struct icmp_error *e = icmp_about(h, p, bytes);

	if (!e)
		return NULL;
	e->type = e->ip6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE;
	e->code = e->ip6 ? ICMP6_PORT : ICMP4_PORT;
	e->rest = 0;
	return e;
}

/*
 * icmp_too_big says how big a packet may be: "fragmentation needed" (RFC 1191),
 * or "packet too big".
 */
static INLINE struct icmp_error *icmp_too_big(const struct headers *h, const struct packet *p, __u32 bytes,
					      __u32 mtu)
{
	struct icmp_error *e = icmp_about(h, p, bytes);

	if (!e)
		return NULL;
	e->type = e->ip6 ? ICMP6_TOO_BIG : ICMP4_UNREACHABLE;
	e->code = e->ip6 ? 0 : ICMP4_FRAGMENT;
	e->rest = bpf_htonl(mtu);
	return e;
}

/*
 * As many errors leave a CPU as the kernel sends: 1,000 a second, 50 at once
 * (icmp_msgs_per_sec, icmp_msgs_burst).
 */
#define ICMP_EVERY 1000000ULL /* ns */
#define ICMP_BURST 50

static INLINE bool icmp_allowed(struct icmp_error *e)
{
	__u64 now = bpf_ktime_get_coarse_ns();

	if (e->sent + ICMP_BURST * ICMP_EVERY < now)
		e->sent = now - ICMP_BURST * ICMP_EVERY;
	if (e->sent + ICMP_EVERY > now)
		return false;
	e->sent += ICMP_EVERY;
	return true;
}

/* icmp_tagged has it get the VLAN tags of the packet, as they were found in its frame. */
static INLINE void icmp_tagged(struct icmp_error *e, __u32 tag_bytes)
{
	struct work *w = work_of();

	if (!w)
		return;
	e->tag_bytes = tag_bytes;
	e->tags[0] = w->rare.tags[0];
	e->tags[1] = w->rare.tags[1];
}

static INLINE __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Bytes that are summed at a time, and how many times for the longest error. */
#define CHUNK 64
#define CHUNKS ((1280 - sizeof(struct ipv6hdr)) / CHUNK + 1)

static INLINE long load_bytes(void *ctx, bool skb, __u32 at, void *to, __u32 n)
{
	return skb ? bpf_skb_load_bytes(ctx, at, to, n) : bpf_xdp_load_bytes(ctx, at, to, n);
}

static INLINE long store_bytes(void *ctx, bool skb, __u32 at, void *from, __u32 n)
{
	return skb ? bpf_skb_store_bytes(ctx, at, from, n, 0) : bpf_xdp_store_bytes(ctx, at, from, n);
}

/* csum_bytes adds the frame's next n bytes to a sum; negative: they are not there. */
static INLINE __s64 csum_bytes(void *ctx, bool skb, __u32 at, __u32 n, __u32 sum)
{
	for (__u32 i = 0; i < CHUNKS; i++) {
		__u8 chunk[CHUNK] = {};
		__u32 now = n < CHUNK ? n : CHUNK;

		if (!now)
			break;
		/* The verifier of 6.1 does not see from that that it is at least 1. */
		asm volatile("" : "+r"(now));
		now = ((now - 1) & (CHUNK - 1)) + 1;
		if (load_bytes(ctx, skb, at, chunk, now))
			return -1;
		sum = bpf_csum_diff(NULL, 0, (__be32 *)chunk, CHUNK, sum);
		at += now;
		n -= now;
	}
	return sum;
}

/* An Ethernet header with as many tags as there may be; of fewer it is the front. */
struct eth_head {
	__u8 dst[6], src[6];
	__u32 tags[2];
	__be16 type;
} __attribute__((packed));

/* eth_write writes the frame's Ethernet header, its tags included. */
static INLINE long eth_write(void *ctx, bool skb, const struct icmp_error *e, __be16 type)
{
	struct eth_head head;

	__builtin_memcpy(head.dst, e->back.dst, 6);
	__builtin_memcpy(head.src, e->back.src, 6);
	head.tags[0] = e->tag_bytes ? e->tags[0] : type;
	head.tags[1] = e->tag_bytes > 4 ? e->tags[1] : type;
	head.type = type;
	switch (e->tag_bytes) {
	case 4:
		return store_bytes(ctx, skb, 0, &head, sizeof(struct ethhdr) + 4);
	case 8:
		return store_bytes(ctx, skb, 0, &head, sizeof(struct ethhdr) + 8);
	}
	return store_bytes(ctx, skb, 0, &head, sizeof(struct ethhdr));
}

/* icmp4_write writes the error's headers in front of what it quotes. */
static INLINE long icmp4_write(void *ctx, bool skb, const struct icmp_error *e)
{
	__u32 at = sizeof(struct ethhdr) + e->tag_bytes;
	struct icmp4_headers head = {};
	__s64 sum = 0;

	head.ip.version = 4;
	head.ip.ihl = sizeof(head.ip) / 4;
	head.ip.tos = (e->tos & 0x1e) | 0xc0; /* network control */
	head.ip.tot_len = bpf_htons(sizeof(head.ip) + sizeof(head.icmp) + e->quote);
	head.ip.id = bpf_get_prandom_u32();
	head.ip.ttl = 64;
	head.ip.protocol = IPPROTO_ICMP;
	head.ip.saddr = UNMAPPED(e->from.lo);
	head.ip.daddr = UNMAPPED(e->to.lo);
	head.ip.check = csum_fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)&head.ip, sizeof(head.ip), 0));
	head.icmp.type = e->type;
	head.icmp.code = e->code;
	head.icmp.rest = e->rest;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), 0);
	sum = csum_bytes(ctx, skb, at + sizeof(head), e->quote, sum);
	if (sum < 0)
		return -1;
	head.icmp.check = csum_fold(sum);
	return store_bytes(ctx, skb, at, &head, sizeof(head)) || eth_write(ctx, skb, e, bpf_htons(ETH_P_IP));
}

static INLINE long icmp6_write(void *ctx, bool skb, const struct icmp_error *e)
{
	__be32 length = bpf_htonl(sizeof(struct icmp_head) + e->quote), next = bpf_htonl(IPPROTO_ICMPV6);
	__u32 at = sizeof(struct ethhdr) + e->tag_bytes;
	struct icmp6_headers head = {};
	__s64 sum;

	head.ip.version = 6;
	head.ip.payload_len = bpf_htons(sizeof(head.icmp) + e->quote);
	head.ip.nexthdr = IPPROTO_ICMPV6;
	head.ip.hop_limit = 64;
	__builtin_memcpy(&head.ip.saddr, &e->from, 16);
	__builtin_memcpy(&head.ip.daddr, &e->to, 16);
	head.icmp.type = e->type;
	head.icmp.code = e->code;
	head.icmp.rest = e->rest;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.ip.saddr, 32, sum);
	sum = bpf_csum_diff(NULL, 0, &length, sizeof(length), sum);
	sum = bpf_csum_diff(NULL, 0, &next, sizeof(next), sum);
	sum = csum_bytes(ctx, skb, at + sizeof(head), e->quote, sum);
	if (sum < 0)
		return -1;
	head.icmp.check = csum_fold(sum);
	return store_bytes(ctx, skb, at, &head, sizeof(head)) || eth_write(ctx, skb, e, bpf_htons(ETH_P_IPV6));
}

/* icmp_grows is how many bytes more stand in front of what is quoted. */
static INLINE int icmp_grows(const struct icmp_error *e)
{
	return e->ip6 ? sizeof(struct ipv6hdr) + sizeof(struct icmp_head) :
			sizeof(struct iphdr) + sizeof(struct icmp_head);
}

/* xdp_icmp turns the packet into the error and sends it back. */
static NOINLINE int xdp_icmp(struct xdp_md *ctx, struct icmp_error *e)
{
	int cut = (int)(e->quote + sizeof(struct ethhdr) + e->tag_bytes) - (int)bpf_xdp_get_buff_len(ctx);

	if (!icmp_allowed(e) || bpf_xdp_adjust_tail(ctx, cut) || bpf_xdp_adjust_head(ctx, -icmp_grows(e)))
		return XDP_DROP;
	if (e->ip6 ? icmp6_write(ctx, false, e) : icmp4_write(ctx, false, e))
		return XDP_DROP;
	note(NOTE_ICMP_SENT);
	return XDP_TX;
}

/* skb_icmp does so with an skb. Cutting it ends its being several segments. */
static NOINLINE int skb_icmp(struct __sk_buff *skb, struct icmp_error *e)
{
	if (!icmp_allowed(e) || bpf_skb_change_tail(skb, e->quote + sizeof(struct ethhdr), 0) ||
	    bpf_skb_adjust_room(skb, icmp_grows(e), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	if (e->ip6 ? icmp6_write(skb, true, e) : icmp4_write(skb, true, e))
		return TC_ACT_SHOT;
	note(NOTE_ICMP_SENT);
	return bpf_redirect(skb->ifindex, 0);
}

#endif
