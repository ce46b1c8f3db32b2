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
	return xdp_finish(ctx, &h, &p, &sent, balance(&h, &p, &sent), 0);
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

/* weir_jiffies has Go set the clock (tick). */
SEC("syscall")
int weir_jiffies(struct jiffies *j)
{
	j->now = bpf_jiffies64();
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
