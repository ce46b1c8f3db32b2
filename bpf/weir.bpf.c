// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * weir.bpf.c - the data plane's entry points: XDP ingress, tc ingress, the tc
 * egress guard, and the sweep. They differ only in how they hold a packet;
 * what becomes of it is decided in balance.h.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE __always_inline
#define NOINLINE __attribute__((noinline))
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

#include "abi.h"
#include "maps.h"
#include "parse.h"
#include "verdict.h"
#include "lease.h"
#include "load.h"
#include "conn.h"
#include "flow.h"
#include "sched.h"
#include "cycle.h"
#include "mh.h"
#include "twos.h"
#include "locality.h"
#include "schedule.h"
#include "direct.h"
#include "nat.h"
#include "persist.h"
#include "room.h"
#include "reply.h"
#include "icmp.h"
#include "tunnel.h"
#include "mark.h"
#include "balance.h"
#include "related.h"
#include "fragment.h"
#include "rare.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* xdp_error sends an error about the packet instead of it. */
static INLINE int xdp_error(struct xdp_md *ctx, struct icmp_error *e, __u32 tag_bytes)
{
	if (!e)
		return XDP_DROP;
	if (tag_bytes)
		icmp_tagged(e, tag_bytes);
	return xdp_icmp(ctx, e);
}

/* xdp_finish does what was decided of the packet; so many bytes of tags are in its frame. */
static INLINE int xdp_finish(struct xdp_md *ctx, const struct headers *h, const struct packet *p,
			     const struct sent *sent, enum verdict v, __u32 tag_bytes)
{
	__u32 l2 = sizeof(struct ethhdr) + tag_bytes;

	switch (v) {
	case DROP:
		return XDP_DROP;
	case REFUSE:
		return xdp_error(ctx, icmp_refusal(h, p, bpf_xdp_get_buff_len(ctx) - l2), tag_bytes);
	case TOO_BIG:
		return xdp_error(ctx, icmp_too_big(h, p, bpf_xdp_get_buff_len(ctx) - l2, sent->mtu), tag_bytes);
	case FORWARD:
		if (sent->nat)
			settle_csum(h, p, sent);
		if (tag_bytes && sent->ifindex != ctx->ingress_ifindex) {
			if (!xdp_untag(ctx, tag_bytes))
				return XDP_DROP;
			tag_bytes = 0;
		}
		if (sent->outer && !xdp_encapsulate(ctx, sent->outer, tag_bytes))
			return XDP_DROP;
		if (sent->ifindex == ctx->ingress_ifindex)
			return XDP_TX;
		return bpf_redirect(sent->ifindex, 0);
	default:
		return XDP_PASS;
	}
}

__noinline int xdp_rare(struct xdp_md *ctx)
{
	struct work *w = work_of();
	enum rare_next next;

	if (!w)
		return RARE_PASS;
	next = rare_begin((void *)(long)ctx->data, (void *)(long)ctx->data_end, w, ctx->ingress_ifindex);
	/* Where others wait for it, the program at tc sends them all. */
	if (next == RARE_FULL && w->rare.kind == RARE_FIRST && fragment_waited(w))
		return RARE_PASS;
	return next;
}

__noinline int xdp_rare_send(struct xdp_md *ctx, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;
	__u64 waited;

	if (!w || v == HOLD)
		return XDP_PASS;
	if (w->rare.kind == RARE_FIRST) {
		waited = fragment_settle(w, v);
		if (waited) {
			fragment_unsettle(w, waited);
			return XDP_PASS;
		}
	}
	if (v == PASS)
		return XDP_PASS;
	if (!rare_headers((void *)(long)ctx->data, (void *)(long)ctx->data_end, &h, &q, w))
		return XDP_PASS;
	if (v == FORWARD)
		v = rare_send(&h, &q, &sent, w);
	return xdp_finish(ctx, &h, &w->packet, &sent, v, w->rare.tag_bytes);
}

SEC("xdp.frags")
int weir_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = { .packets = 1, .ifindex = ctx->ingress_ifindex };
	struct sent sent = {};
	struct headers h;
	enum parsed parsed = parse(data, end, &h, &p);

	if (parsed != PARSED) {
		switch (parsed < PARSED_RARE ? RARE_PASS : xdp_rare(ctx)) {
		case RARE_FULL:
			return xdp_rare_send(ctx, full());
		case RARE_ROUTE:
			return xdp_rare_send(ctx, rare_route());
		}
		return XDP_PASS;
	}
	if (device_mac && mac_word(h.eth->h_dest) != device_mac)
		return XDP_PASS;
	return xdp_finish(ctx, &h, &p, &sent, balance(&h, &p, &sent), 0);
}

/* Headers beyond these bytes are pulled in only when a packet needs them. */
#define PULL_BYTES 256

static INLINE enum parsed parse_skb(struct __sk_buff *skb, struct headers *h, struct packet *p)
{
	return parse((void *)(long)skb->data, (void *)(long)skb->data_end, h, p);
}

/* skb_pull makes sure that a packet's headers can be read. */
static INLINE long skb_pull(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
}

/*
 * settle_skb_csum settles the transport checksum of an skb, which a local sender
 * leaves half-finished: the kernel's helpers know about that.
 */
static INLINE long settle_skb_csum(struct __sk_buff *skb, const struct headers *h,
				   const struct packet *p, const struct sent *sent)
{
	__u64 flags = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	long err = bpf_l4_csum_replace(skb, h->check_offset, 0, sent->csum, flags | BPF_F_PSEUDO_HDR);

	if (err || sent->old_port == sent->new_port)
		return err;
	return bpf_l4_csum_replace(skb, h->check_offset, sent->old_port, sent->new_port, flags | 2);
}

/*
 * skb_untag takes off the tags that the packet came with: it leaves by another
 * device, whose own affair tags are.
 */
static INLINE bool skb_untag(struct __sk_buff *skb)
{
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return false;
	return !skb->vlan_present || !bpf_skb_vlan_pop(skb);
}

/*
 * skb_finish does what was decided of the packet. A copy of it goes where it is
 * one of several, of which the skb is each in turn.
 */
static INLINE int skb_finish(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
			     const struct sent *sent, enum verdict v, bool whole, bool copy)
{
	struct icmp_error *error;

	switch (v) {
	case DROP:
		return TC_ACT_SHOT;
	case REFUSE:
		error = icmp_refusal(h, p, skb->len - sizeof(struct ethhdr));
		return error ? skb_icmp(skb, error) : TC_ACT_SHOT;
	case TOO_BIG:
		error = icmp_too_big(h, p, skb->len - sizeof(struct ethhdr), sent->mtu);
		return error ? skb_icmp(skb, error) : TC_ACT_SHOT;
	case FORWARD:
		if (sent->nat && settle_skb_csum(skb, h, p, sent))
			return TC_ACT_SHOT;
		if (sent->ifindex != skb->ifindex && skb->vlan_present && !skb_untag(skb))
			return TC_ACT_SHOT;
		if (sent->outer && !skb_encapsulate(skb, p, sent->outer, whole))
			return TC_ACT_SHOT;
		if (!copy)
			return bpf_redirect(sent->ifindex, 0);
		bpf_clone_redirect(skb, sent->ifindex, 0);
		return TC_ACT_SHOT;
	default:
		if (!copy)
			return TC_ACT_UNSPEC;
		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
		return TC_ACT_SHOT;
	}
}

__noinline int skb_rare(struct __sk_buff *skb)
{
	struct work *w = work_of();
	enum rare_next next;

	if (!w || skb_pull(skb))
		return RARE_PASS;
	w->rare.copy = false;
	w->waiting = 0;
	next = rare_begin((void *)(long)skb->data, (void *)(long)skb->data_end, w, skb->ifindex);
	w->packet.bytes = skb->len - sizeof(struct ethhdr) - w->rare.tag_bytes;
	return next;
}

/*
 * skb_rare_send sends the packet, or, where others have waited for it, a copy: then
 * the skb is each of them in turn.
 */
__noinline int skb_rare_send(struct __sk_buff *skb, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;
	bool copy;

	if (!w)
		return TC_ACT_UNSPEC;
	if (w->rare.kind == RARE_FIRST)
		w->waiting = fragment_settle(w, v);
	copy = w->waiting || w->rare.copy;
	if (v == HOLD || (v == PASS && !copy))
		return TC_ACT_UNSPEC;
	if (!rare_headers((void *)(long)skb->data, (void *)(long)skb->data_end, &h, &q, w))
		return TC_ACT_UNSPEC;
	if (v == FORWARD)
		v = rare_send(&h, &q, &sent, w);
	/* The kernel's helpers put nothing between tags and packet. */
	if (w->rare.tag_bytes && (v == REFUSE || v == TOO_BIG || sent.outer))
		return TC_ACT_SHOT;
	if (v == REFUSE || v == TOO_BIG)
		w->waiting = 0;
	return skb_finish(skb, &h, &w->packet, &sent, v, w->rare.kind == RARE_WHOLE, copy);
}

/* skb_next makes the skb the next fragment that has waited. */
__noinline int skb_next(struct __sk_buff *skb)
{
	struct work *w = work_of();
	__u64 next;

	if (!w || !skb_held(skb, w))
		return false;
	next = w->waiting;
	if (skb_rare(skb) != RARE_ROUTE)
		return false;
	w->waiting = next;
	w->rare.copy = true;
	return true;
}

/* As many as the longest packet has that is cut for the shortest MTU of IPv6, and then some. */
#define RELEASE_MOST 64

/* skb_decided sends a packet of which full() or rare_route() has decided, and what waited for it. */
static INLINE int skb_decided(struct __sk_buff *skb, enum verdict v)
{
	int ret;

	if (v == HOLD)
		v = skb_hold(skb);
	if (v == HOLD) /* the first has come in this moment */
		v = rare_route();
	ret = skb_rare_send(skb, v);
	for (int i = 0; i < RELEASE_MOST; i++) {
		if (!skb_next(skb))
			break;
		skb_rare_send(skb, rare_route());
	}
	return ret;
}

SEC("tc")
int weir_tc(struct __sk_buff *skb)
{
	struct packet p = {
		.packets = skb->gso_segs ? skb->gso_segs : 1,
		.ifindex = skb->ifindex,
	};
	struct sent sent = {};
	struct headers h;
	enum parsed parsed;

	if (skb->pkt_type != PACKET_HOST)
		return TC_ACT_UNSPEC;
	parsed = parse_skb(skb, &h, &p);
	if (parsed == PARSED_SHORT && skb->len > skb->data_end - skb->data) {
		if (skb_pull(skb))
			return TC_ACT_UNSPEC;
		parsed = parse_skb(skb, &h, &p);
	}
	if (parsed != PARSED) {
		switch (parsed < PARSED_RARE ? RARE_PASS : skb_rare(skb)) {
		case RARE_FULL:
			return skb_decided(skb, full());
		case RARE_ROUTE:
			return skb_decided(skb, rare_route());
		}
		return TC_ACT_UNSPEC;
	}
	p.bytes = skb->len - sizeof(struct ethhdr);
	return skb_finish(skb, &h, &p, &sent, balance(&h, &p, &sent), true, false);
}

/*
 * weir_fragments stands at tc where weir_xdp is at XDP: that leaves it what has to
 * wait, and what others wait for.
 */
SEC("tc")
int weir_fragments(struct __sk_buff *skb)
{
	struct work *w = work_of();
	struct packet p = {};
	struct headers h;

	if (!w || skb->pkt_type != PACKET_HOST || parse_skb(skb, &h, &p) != PARSED_FRAGMENT)
		return TC_ACT_UNSPEC;
	switch (skb_rare(skb)) {
	case RARE_FULL:
		return fragment_waited(w) ? skb_decided(skb, full()) : TC_ACT_UNSPEC;
	case RARE_ROUTE:
		return skb_decided(skb, rare_route());
	}
	return TC_ACT_UNSPEC;
}

/* An ARP packet for IPv4 over Ethernet (RFC 826). */
struct arp_ip4 {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

static INLINE bool arp_silenced(struct cursor *c)
{
	struct arp_ip4 *arp = take(c, sizeof(*arp));
	struct addr a = {};

	if (!arp || arp->protocol != bpf_htons(ETH_P_IP))
		return false;
	a.lo = MAPPED(*(__u16 *)arp->sender | (__u32)*(__u16 *)(arp->sender + 2) << 16);
	return guarded(&a);
}

#define NEIGHBOUR_ADVERTISEMENT 136

static INLINE bool neighbour_silenced(struct cursor *c)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	struct icmp6hdr *icmp = take(c, sizeof(*icmp));
	struct addr *target = take(c, sizeof(*target));
	struct addr a;

	if (!ip || !icmp || !target || ip->nexthdr != IPPROTO_ICMPV6 ||
	    icmp->icmp6_type != NEIGHBOUR_ADVERTISEMENT)
		return false;
	a = *target;
	return guarded(&a);
}

/*
 * weir_guard keeps a machine silent about a VIP whose lease has run out: no ARP
 * and no neighbour advertisement for it leaves, whatever the stack would say.
 */
SEC("tc")
int weir_guard(struct __sk_buff *skb)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ethhdr *eth = take(&c, sizeof(*eth));

	if (!eth)
		return TC_ACT_UNSPEC;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_ARP):
		return arp_silenced(&c) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	case bpf_htons(ETH_P_IPV6):
		return neighbour_silenced(&c) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	}
	return TC_ACT_UNSPEC;
}

/*
 * weir_limits sets a server's thresholds, and whether it is full by these: in the
 * kernel that, too, changes with the edit (__ip_vs_update_dest, ip_vs_ctl.c).
 */
SEC("syscall")
int weir_limits(struct limits *to)
{
	__u32 server = to->server;
	struct load *l = bpf_map_lookup_elem(&loads, &server);

	if (!l)
		return 0;
	l->upper = to->upper;
	l->lower = to->lower;
	load_settle(l);
	return 0;
}

SEC("syscall")
int weir_sweep(struct sweep *s)
{
	struct sweep found = { .epoch = s->epoch, .now = s->now };

	bpf_for_each_map_elem(&conns, sweep_one, &found, 0);
	bpf_for_each_map_elem(&templates, sweep_template, &found, 0);
	s->live = found.live;
	s->expired = found.expired;
	return 0;
}
