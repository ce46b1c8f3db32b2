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
#include "parse/packet.h"
#include "slow/icmp.h"
#include "verdict/work.h"

/*
 * The error that this CPU is sending, with everything about the packet that is needed
 * once the packet's bytes have moved.
 */
struct icmp_error {
	struct next_hop back;
	struct addr from, to;
	__u64 sent;  /* the time until which errors have been sent, coarse monotonic ns */
	__u32 quote; /* how many bytes of the packet are quoted, from its IP header on */
	__be32 rest; /* the header's last word: the path MTU, or 0 */
	__u8 type, code;
	__u8 tos;
	bool ip6;
	__u32 tag_bytes; /* how many bytes of VLAN tags the error gets */
	__u32 tags[MAX_TAGS];
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
 * icmp_about begins an error about a packet, of which the frame has so many bytes from
 * the IP header on. It returns this CPU's error, or NULL, which never happens.
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

/*
 * icmp_refusal is "port unreachable", as the kernel sends it where the service has no
 * server.
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
