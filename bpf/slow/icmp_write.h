/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* icmp_write.h - the bytes of an ICMP error, for XDP and tc. */
#ifndef WEIR_SLOW_ICMP_WRITE_H
#define WEIR_SLOW_ICMP_WRITE_H

#include "base/bpf.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "slow/icmp.h"
#include "slow/icmp_error.h"
#include "verdict/work.h"

struct icmp4_headers {
	struct iphdr ip;
	struct icmp_head icmp;
};

struct icmp6_headers {
	struct ipv6hdr ip;
	struct icmp_head icmp;
};

/* How many times CHUNK bytes are summed for the longest error. */
#define CHUNKS ((IP6_MIN_MTU - sizeof(struct ipv6hdr)) / CHUNK + 1)

/* load_bytes copies n bytes of the packet, from a place in its frame, for XDP or tc. */
static INLINE long load_bytes(void *ctx, bool skb, __u32 at, void *to, __u32 n)
{
	return skb ? bpf_skb_load_bytes(ctx, at, to, n) : bpf_xdp_load_bytes(ctx, at, to, n);
}

/* store_bytes writes n bytes into the packet, as load_bytes reads them. */
static INLINE long store_bytes(void *ctx, bool skb, __u32 at, void *from, __u32 n)
{
	return skb ? bpf_skb_store_bytes(ctx, at, from, n, 0) : bpf_xdp_store_bytes(ctx, at, from, n);
}

/*
 * csum_chunks adds n bytes of the frame to a sum. It is negative where the frame does not
 * have them.
 */
static INLINE __s64 csum_chunks(void *ctx, bool skb, __u32 at, __u32 n, __u32 sum)
{
	struct icmp_error *e = icmp_of();

	if (!e)
		return -1;
	for (__u32 i = 0; i < CHUNKS; i++) {
		__u32 now = n < CHUNK ? n : CHUNK;

		if (!now)
			break;
		/* The verifier of Linux 6.1 does not see that it is at least 1. */
		asm volatile("" : "+r"(now));
		now = ((now - 1) & (CHUNK - 1)) + 1;
		__builtin_memset(e->chunk, 0, sizeof(e->chunk));
		if (load_bytes(ctx, skb, at, e->chunk, now))
			return -1;
		sum = bpf_csum_diff(NULL, 0, (__be32 *)e->chunk, sizeof(e->chunk), sum);
		at += CHUNK;
		n = n > CHUNK ? n - CHUNK : 0;
	}
	return sum;
}

/* One for each hook: global functions, whose loop the verifier goes through once. */
__noinline __s64 csum_xdp(struct xdp_md *ctx, __u32 at, __u32 n, __u32 sum)
{
	return csum_chunks(ctx, false, at, n, sum);
}

__noinline __s64 csum_skb(struct __sk_buff *skb, __u32 at, __u32 n, __u32 sum)
{
	return csum_chunks(skb, true, at, n, sum);
}

/* csum_bytes is csum_chunks by the hook's function. */
static INLINE __s64 csum_bytes(void *ctx, bool skb, __u32 at, __u32 n, __u32 sum)
{
	return skb ? csum_skb(ctx, at, n, sum) : csum_xdp(ctx, at, n, sum);
}

/*
 * csum_quote adds what an error quotes, from a place in the frame on, to a sum. It is
 * negative where the frame does not have it.
 *
 * Linux finishes a half-finished checksum once the packet reaches a device that does not,
 * perhaps after the error has been sent, and no program can tell it not to: it writes the
 * complement of the sum of all bytes from the transport header on, those of the checksum
 * field included (skb_checksum_help, net/core/dev.c). That would change the error, whose
 * checksum would be wrong. So the field gets the one value that Linux replaces by itself:
 * c with c = -(r + c), where r is the sum of all other bytes. In ones' complement c is
 * then -r turned right by one bit. Nobody verifies a checksum that is quoted.
 */
static INLINE __s64 csum_quote(void *ctx, bool skb, struct icmp_error *e, __u32 at, __u32 sum)
{
	__s64 l4 = csum_bytes(ctx, skb, at + e->l4, e->quote - e->l4, 0);
	__u16 check, rest;

	if (l4 < 0)
		return -1;
	if (e->check) {
		if (load_bytes(ctx, skb, at + e->check, &check, sizeof(check)))
			return -1;
		rest = csum_fold((__u64)l4 + (__u16)~check); /* the complement of r */
		check = rest >> 1 | rest << 15;
		if (store_bytes(ctx, skb, at + e->check, &check, sizeof(check)))
			return -1;
		l4 = (__u64)(__u16)~rest + check;
	}
	l4 += sum;
	return csum_bytes(ctx, skb, at, e->l4, (__u32)l4 + (l4 >> 32));
}

/* eth_write writes the frame's Ethernet header and VLAN tags. */
static INLINE long eth_write(void *ctx, bool skb, struct icmp_error *e, __be16 type)
{
	struct eth_head *head = &e->head;

	copy_mac(head->dst, e->back.dst);
	copy_mac(head->src, e->back.src);
	head->tags[0] = e->tag_bytes ? e->tags[0] : type;
	head->tags[1] = e->tag_bytes > TAG_BYTES ? e->tags[1] : type;
	head->type = type;
	switch (e->tag_bytes) {
	case TAG_BYTES:
		return store_bytes(ctx, skb, 0, head, sizeof(struct ethhdr) + TAG_BYTES);
	case 2 * TAG_BYTES:
		return store_bytes(ctx, skb, 0, head, sizeof(struct ethhdr) + 2 * TAG_BYTES);
	}
	return store_bytes(ctx, skb, 0, head, sizeof(struct ethhdr));
}

/* icmp4_write writes the headers of an ICMP error in front of what it quotes; 0: it did. */
static INLINE long icmp4_write(void *ctx, bool skb, struct icmp_error *e)
{
	__u32 at = sizeof(struct ethhdr) + e->tag_bytes;
	struct icmp4_headers head = {};
	__s64 sum = 0;

	head.ip.version = 4;
	head.ip.ihl = sizeof(head.ip) / 4;
	head.ip.tos = (e->tos & ICMP4_TOS_KEPT) | ICMP4_TOS;
	head.ip.tot_len = bpf_htons(sizeof(head.ip) + sizeof(head.icmp) + e->quote);
	head.ip.id = bpf_get_prandom_u32();
	head.ip.ttl = ICMP_TTL;
	head.ip.protocol = IPPROTO_ICMP;
	head.ip.saddr = UNMAPPED(e->from.lo);
	head.ip.daddr = UNMAPPED(e->to.lo);
	head.ip.check = csum_fold((__u32)bpf_csum_diff(NULL, 0, (__be32 *)&head.ip, sizeof(head.ip), 0));
	head.icmp.type = e->type;
	head.icmp.code = e->code;
	head.icmp.rest = e->rest;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), 0);
	sum = csum_quote(ctx, skb, e, at + sizeof(head), sum);
	if (sum < 0)
		return -1;
	head.icmp.check = csum_fold(sum);
	return store_bytes(ctx, skb, at, &head, sizeof(head)) || eth_write(ctx, skb, e, bpf_htons(ETH_P_IP));
}

/*
 * icmp6_write is icmp4_write for ICMPv6, whose checksum has the addresses in it (RFC
 * 4443 section 2.3).
 */
static INLINE long icmp6_write(void *ctx, bool skb, struct icmp_error *e)
{
	__be32 length = bpf_htonl(sizeof(struct icmp_head) + e->quote), next = bpf_htonl(IPPROTO_ICMPV6);
	__u32 at = sizeof(struct ethhdr) + e->tag_bytes;
	struct icmp6_headers head = {};
	__s64 sum;

	head.ip.version = 6;
	head.ip.payload_len = bpf_htons(sizeof(head.icmp) + e->quote);
	head.ip.nexthdr = IPPROTO_ICMPV6;
	head.ip.hop_limit = ICMP_TTL;
	__builtin_memcpy(&head.ip.saddr, &e->from, 16);
	__builtin_memcpy(&head.ip.daddr, &e->to, 16);
	head.icmp.type = e->type;
	head.icmp.code = e->code;
	head.icmp.rest = e->rest;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.icmp, sizeof(head.icmp), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&head.ip.saddr, 32, sum);
	sum = bpf_csum_diff(NULL, 0, &length, sizeof(length), sum);
	sum = bpf_csum_diff(NULL, 0, &next, sizeof(next), sum);
	sum = csum_quote(ctx, skb, e, at + sizeof(head), sum);
	if (sum < 0)
		return -1;
	head.icmp.check = csum_fold(sum);
	return store_bytes(ctx, skb, at, &head, sizeof(head)) || eth_write(ctx, skb, e, bpf_htons(ETH_P_IPV6));
}

/* icmp_grows is how many bytes the error has in front of what it quotes. */
static INLINE int icmp_grows(const struct icmp_error *e)
{
	return e->ip6 ? sizeof(struct ipv6hdr) + sizeof(struct icmp_head) :
			sizeof(struct iphdr) + sizeof(struct icmp_head);
}

#endif
