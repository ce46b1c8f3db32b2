// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * weir.bpf.c - the data plane's entry points: XDP ingress, tc ingress, tc
 * egress, and the sweep. They differ only in how they hold a packet;
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
#include "mark.h"
#include "own.h"
#include "card.h"
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
#include "home.h"
#include "balance.h"
#include "related.h"
#include "fragment.h"
#include "rare.h"
#include "xdp.h"
#include "skb.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
	return xdp_finish(ctx, &h, &p, &sent, balance(&h, &p, &sent, true), 0);
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
	parsed = parse_pulled(skb, &h, &p);
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
	return skb_finish(skb, &h, &p, &sent, balance(&h, &p, &sent, false), true, false);
}

/* skb_full takes a packet the full way. */
static INLINE int skb_full(struct __sk_buff *skb, struct work *w, const struct headers *h,
			   const struct packet *p)
{
	struct sent sent = {};
	enum verdict v;

	w->packet = *p;
	w->came = (struct way){ .ifindex = WAY_HOME };
	v = full();
	if (v == FORWARD)
		v = send_on(h, p, &sent, w);
	return skb_finish(skb, h, p, &sent, v, true, false);
}

/* reply_of is the entry of the answers that have this key, or NULL. */
static INLINE struct conn *reply_of(const struct flow_key *key)
{
	struct conn *c = bpf_map_lookup_elem(&conns, key);

	return c && conn_state(c->word) == STATE_REPLY ? c : NULL;
}

/* own_answer says whether this is what a server answers to this machine's own client. */
static INLINE bool own_answer(const struct flow_key *key)
{
	struct conn *reply = reply_of(key);

	return reply && (reply->of.reply.back.ifindex & ~WAY_TO_VIP) == WAY_HOME;
}

/*
 * weir_behind stands at tc where weir_xdp is at XDP: that leaves it fragments that
 * have to wait and those that others wait for, and the answers to this machine's
 * own clients.
 */
SEC("tc")
int weir_behind(struct __sk_buff *skb)
{
	struct packet p = {
		.packets = skb->gso_segs ? skb->gso_segs : 1,
		.ifindex = skb->ifindex,
	};
	struct work *w = work_of();
	enum parsed parsed;
	struct headers h;

	if (!w || skb->pkt_type != PACKET_HOST || (skb_headless(skb) && !skb_mend(skb)))
		return TC_ACT_UNSPEC;
	parsed = parse_skb(skb, &h, &p);
	if (parsed == PARSED && own_answer(&p.key)) {
		p.bytes = skb->len - sizeof(struct ethhdr);
		return skb_full(skb, w, &h, &p);
	}
	if (parsed != PARSED_FRAGMENT && parsed != PARSED_ICMP)
		return TC_ACT_UNSPEC;
	switch (skb_rare(skb)) {
	case RARE_FULL:
		if (fragment_waited(w) || own_answer(&w->packet.key))
			return skb_decided(skb, full());
		break;
	case RARE_ROUTE:
		if (parsed == PARSED_FRAGMENT || own_answer(&w->packet.key))
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

/* own_rare makes what skb_rare has found one of this machine's own. */
static INLINE void own_rare(struct work *w)
{
	w->packet.own = true;
	w->packet.sender = 0;
	w->came = (struct way){ .ifindex = WAY_HOME };
}

/*
 * weir_own balances what this machine sends itself, and translates what its own
 * servers behind NAT answer.
 */
SEC("tc")
int weir_own(struct __sk_buff *skb)
{
	struct packet p = {
		.packets = skb->gso_segs ? skb->gso_segs : 1,
		.ifindex = skb->ifindex,
		.own = true,
	};
	struct work *w = work_of();
	enum parsed parsed;
	struct headers h;
	enum verdict v;

	if (!w)
		return TC_ACT_UNSPEC;
	parsed = parse_pulled(skb, &h, &p);
	if (parsed == PARSED) {
		p.bytes = skb->len - sizeof(struct ethhdr);
		p.sender = 0;
		return skb_full(skb, w, &h, &p);
	}
	if (parsed != PARSED_FRAGMENT && parsed != PARSED_ICMP)
		return TC_ACT_UNSPEC;
	switch (skb_rare(skb)) {
	case RARE_FULL:
		own_rare(w);
		v = full();
		break;
	case RARE_ROUTE:
		own_rare(w);
		if (parsed == PARSED_ICMP && !reply_of(&w->packet.key))
			return TC_ACT_UNSPEC;
		v = rare_route();
		break;
	default:
		return TC_ACT_UNSPEC;
	}
	return v == HOLD ? TC_ACT_UNSPEC : skb_rare_send(skb, v);
}

/*
 * weir_egress keeps a machine silent about a VIP whose lease has run out: no ARP
 * and no neighbour advertisement for it leaves, whatever the stack would say. And it
 * calls weir_own for what concerns that: a program that may change packets costs
 * each packet the room for it.
 */
SEC("tc")
int weir_egress(struct __sk_buff *skb)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ethhdr *eth = take(&c, sizeof(*eth));
	struct service_count *n;
	struct packet p = {};
	struct headers h;

	if (!eth)
		return TC_ACT_UNSPEC;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return arp_silenced(&c) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6) && neighbour_silenced(&c))
		return TC_ACT_SHOT;
	if (skb->ingress_ifindex || skb->tc_index == OWN_DONE)
		return TC_ACT_UNSPEC;
	n = service_count_of();
	if (n && parse_ip(&(struct cursor){ eth + 1, c.end }, eth->h_proto, &h, &p, NULL) != PARSED_OTHER &&
	    own_wanted(&p.key, n))
		bpf_tail_call(skb, &tails, 0);
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

/* weir_jiffies has Go set the clock (tick). */
SEC("syscall")
int weir_jiffies(struct jiffies *j)
{
	j->now = bpf_jiffies64();
	return 0;
}

/* weir_sweep looks at some cards: not at so many that packets wait for it long. */
SEC("syscall")
int weir_sweep(struct sweep *s)
{
	struct sweep found = *s;
	struct room *r = room_of();

	if (!r)
		return 0;
	if (found.span)
		r->span = found.span;
	found.first += bpf_loop(found.cards / CARDS_A_TURN, sweep_some, &found, 0) * CARDS_A_TURN;
	found.span = card_span(r->span);
	*s = found;
	return 0;
}

SEC("syscall")
int weir_sweep_templates(struct sweep *s)
{
	struct sweep found = *s;

	bpf_for_each_map_elem(&templates, sweep_template, &found, 0);
	*s = found;
	return 0;
}
