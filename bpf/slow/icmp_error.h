/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * icmp_error.h - the ICMP errors that the director itself sends, instead of the packet
 * that they are about: back to the packet's sender, from the address that the packet
 * was sent to (icmp_send, net/ipv4/icmp.c; icmp6_send, net/ipv6/icmp.c).
 */
#ifndef WEIR_SLOW_ICMP_ERROR_H
#define WEIR_SLOW_ICMP_ERROR_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "slow/icmp.h"
#include "verdict/work.h"

/* How many bytes of an error are summed at a time. */
#define CHUNK 64

/*
 * An Ethernet header with as many VLAN tags as there may be. With fewer tags its front
 * is used.
 */
struct eth_head {
	__u8 dst[6], src[6];
	__u32 tags[MAX_TAGS];
	__be16 type;
} __attribute__((packed));

/*
 * The error that this CPU is sending, with everything about the packet that is needed
 * once the packet's bytes have moved.
 */
struct icmp_error {
	struct next_hop back;
	struct addr from, to;
	__u64 sent;  /* the time until which errors have been sent, coarse monotonic ns */
	__u32 quote; /* how many bytes of the packet are quoted, from its IP header on */
	/*
	 * Where the packet's transport checksum is half-finished: where the transport header
	 * and its checksum are, in bytes from the IP header on; else 0.
	 */
	__u32 l4, check;
	__be32 rest; /* the header's last word: the path MTU, or 0 */
	__u8 type, code;
	__u8 tos;
	bool ip6;
	__u32 tag_bytes; /* how many bytes of VLAN tags the error gets */
	__u32 tags[MAX_TAGS];
	/* What the stack has no room for: bytes that are summed, and the frame's header. */
	__u8 chunk[CHUNK];
	struct eth_head head;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct icmp_error);
	__uint(max_entries, 1);
} icmp_errors SEC(".maps");

/*
 * How many bytes are quoted: an error is no longer than every link must carry (RFC 1812
 * section 4.3.2.3, RFC 4443 section 2.4 c).
 */
#define ICMP4_QUOTE (IP4_MIN_MTU - sizeof(struct iphdr) - sizeof(struct icmp_head))
#define ICMP6_QUOTE (IP6_MIN_MTU - sizeof(struct ipv6hdr) - sizeof(struct icmp_head))

/*
 * pseudo_sum is the sum of the pseudo header of a packet with so many bytes of transport
 * header and payload (RFC 9293 section 3.1, RFC 8200 section 8.1).
 */
static INLINE __u16 pseudo_sum(const struct packet *p, __u32 bytes)
{
	const struct addr *from = &p->key.from, *to = &p->key.to;
	__u64 sum = (__u64)bpf_htonl(bytes) + bpf_htons(p->protocol);

	if (p->ip6) {
		sum += (from->hi >> 32) + (__u32)from->hi + (from->lo >> 32) + (__u32)from->lo;
		sum += (to->hi >> 32) + (__u32)to->hi + (to->lo >> 32) + (__u32)to->lo;
	} else {
		sum += (__u64)UNMAPPED(from->lo) + UNMAPPED(to->lo);
	}
	return ~csum_fold(sum);
}

/*
 * icmp_notice_half sets where the transport checksum is, if it is half-finished: then it
 * holds the sum of the pseudo header (CHECKSUM_PARTIAL in linux/skbuff.h). A finished one
 * of the same value does no harm.
 */
static INLINE void icmp_notice_half(struct icmp_error *e, const struct headers *h, const struct packet *p)
{
	__u32 check, l4;

	e->l4 = e->check = 0;
	if (!h->check)
		return;
	check = check_offset(h);
	asm volatile("" : "+r"(check)); /* the verifier does not follow which of the two headers it is less */
	check -= (p->ip6 ? (void *)h->ip6 : (void *)h->ip4) - (void *)h->eth;
	l4 = check - (p->protocol == IPPROTO_UDP ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check));
	if (check + sizeof(__u16) > e->quote || *h->check != pseudo_sum(p, p->bytes - l4))
		return;
	e->l4 = l4;
	e->check = check;
}

/* icmp_of is this CPU's error, or NULL, which never happens. */
static INLINE struct icmp_error *icmp_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&icmp_errors, &zero);
}

/*
 * icmp_about begins an error about a packet, of which the frame has so many bytes from
 * the IP header on. It returns this CPU's error, or NULL, which never happens.
 */
static INLINE struct icmp_error *icmp_about(const struct headers *h, const struct packet *p, __u32 bytes)
{
	__u32 most = p->ip6 ? ICMP6_QUOTE : ICMP4_QUOTE;
	struct icmp_error *e = icmp_of();

	if (!e)
		return NULL;
	copy_mac(e->back.dst, h->eth->h_source);
	copy_mac(e->back.src, h->eth->h_dest);
	e->from = p->key.to;
	e->to = p->key.from;
	e->ip6 = p->ip6;
	e->tos = h->ip4 ? h->ip4->tos : 0;
	e->tag_bytes = 0;
	e->quote = bytes < p->bytes ? bytes : p->bytes;
	if (e->quote > most)
		e->quote = most;
	icmp_notice_half(e, h, p);
	return e;
}

/*
 * icmp_refusal is "port unreachable", as the kernel sends it where the service has no
 * server; icmp_settle_refusal may make another one of it.
 */
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
 * icmp_settle_refusal makes "port unreachable" "host unreachable" (ICMPv6: "address
 * unreachable") where the server has no next hop (ipv4_link_failure, net/ipv4/route.c;
 * ip6_link_failure, net/ipv6/route.c). The fast path has no part in it: only functions that
 * are verified by themselves call it.
 */
static INLINE void icmp_settle_refusal(struct icmp_error *e)
{
	struct work *w = work_of();

	if (!w || !w->no_host)
		return;
	if (e->ip6 && e->type == ICMP6_UNREACHABLE)
		e->code = ICMP6_ADDRESS;
	else if (!e->ip6 && e->code == ICMP4_PORT)
		e->code = ICMP4_HOST;
}

/*
 * icmp_too_big is "fragmentation needed" (RFC 1191) or "packet too big" (RFC 4443), with
 * the path MTU in bytes.
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
 * Each CPU sends as many errors as the kernel: 1,000 a second, 50 at once
 * (icmp_msgs_per_sec, icmp_msgs_burst).
 */
#define ICMP_EVERY 1000000ULL /* ns */
#define ICMP_BURST 50

/* icmp_allowed says whether this CPU may send an error now, and counts it. */
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

/*
 * icmp_tagged gives the error the VLAN tags of its packet, as they were found in the
 * frame.
 */
static INLINE void icmp_tagged(struct icmp_error *e, __u32 tag_bytes)
{
	struct work *w = work_of();

	if (!w)
		return;
	e->tag_bytes = tag_bytes;
	e->tags[0] = w->slow.tags[0];
	e->tags[1] = w->slow.tags[1];
}

#endif
