// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * weir.bpf.c - the entry points of the data plane: XDP ingress, tc ingress, tc egress,
 * and the programs that Go calls. The hooks differ only in how they hold a packet; the
 * decision on it is the same (balance/balance.h).
 */
#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/balance.h"
#include "balance/route.h"
#include "conn/cut.h"
#include "conn/move.h"
#include "conn/older.h"
#include "conn/slots.h"
#include "conn/flow_cache.h"
#include "conn/sweep.h"
#include "hook/tc_accept.h"
#include "hook/tc_finish.h"
#include "hook/tc_guard.h"
#include "hook/tc_l3.h"
#include "hook/tc_local.h"
#include "hook/tc_parse.h"
#include "hook/tc_slow.h"
#include "hook/xdp_finish.h"
#include "hook/xdp_slow.h"
#include "parse/address.h"
#include "parse/cursor.h"
#include "parse/frame.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "sched/locality.h"
#include "service/addr_filter.h"
#include "service/check.h"
#include "service/load.h"
#include "service/service.h"
#include "service/vmac.h"
#include "slow/classify.h"
#include "slow/fragment.h"
#include "slow/send.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * xdp_is_ours says whether a frame is to the device, or to this machine's virtual router: then it
 * is made one to the device. Where it is not, action is what becomes of it.
 */
static INLINE bool xdp_is_ours(struct ethhdr *eth, void *end, __u32 ifindex, int *action)
{
	__u64 own;

	if (!device_mac || mac_word(eth->h_dest) == device_mac)
		return true;
	switch (vmac_of(eth, end, ifindex, &own)) {
	case VMAC_MASTER:
		set_mac(eth->h_dest, device_mac);
		return true;
	case VMAC_STANDBY:
		*action = XDP_DROP;
		return false;
	default:
		*action = XDP_PASS;
		return false;
	}
}

/* weir_xdp balances what comes in by a device, at XDP. */
SEC("xdp.frags")
int weir_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct sent sent = {};
	enum parsed parsed;
	struct headers h;
	struct packet p;
	int action;

	packet_begin(&p, ctx->ingress_ifindex, true);
	parsed = parse(data, end, &h, &p);
	if (parsed != PARSED) {
		if (parsed < PARSED_SLOW || (vlan_devices && parsed == PARSED_TAGGED))
			return XDP_PASS;
		if (!xdp_is_ours(h.eth, end, ctx->ingress_ifindex, &action))
			return action;
		switch (xdp_classify(ctx)) {
		case NEXT_ROUTE:
			return xdp_slow_send(ctx, slow_route_asking(ctx, true));
		case NEXT_SLOW_ROUTE:
			return xdp_slow_send(ctx, slow_route());
		}
		return XDP_PASS;
	}
	if (!xdp_is_ours(h.eth, end, ctx->ingress_ifindex, &action))
		return action;
	h.summed = true;
	return xdp_finish(ctx, &h, &p, &sent, balance(ctx, &h, &p, &sent, true), 0);
}

/* tc_balance balances a packet that comes in, at tc. It returns a tc action. */
static INLINE int tc_balance(struct __sk_buff *skb)
{
	struct sent sent = {};
	enum parsed parsed;
	struct headers h;
	struct packet p;

	skb_packet(&p, skb);
	if (vlan_devices && skb->vlan_present)
		return TC_ACT_UNSPEC;
	parsed = parse_pulled(skb, &h, &p);
	if (parsed != PARSED) {
		switch (parsed < PARSED_SLOW ? NEXT_PASS : skb_classify(skb)) {
		case NEXT_ROUTE:
			return skb_slow_finish(skb, slow_route_asking(skb, false));
		case NEXT_SLOW_ROUTE:
			return skb_slow_finish(skb, slow_route());
		}
		return TC_ACT_UNSPEC;
	}
	p.bytes = skb->len - sizeof(struct ethhdr);
	return skb_finish(skb, &h, &p, &sent, balance(skb, &h, &p, &sent, false), true, false);
}

/*
 * tc_vmac says whose address a frame to another address than the device's is to, and makes
 * one to this machine's virtual router one to the device. Only IP packets count.
 */
static INLINE enum vmac tc_vmac(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	enum vmac v;
	__u64 own;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end ||
	    (eth_type(eth) != bpf_htons(ETH_P_IP) && eth_type(eth) != bpf_htons(ETH_P_IPV6)))
		return VMAC_NONE;
	v = vmac_of(eth, (void *)(long)skb->data_end, skb->ifindex, &own);
	if (v != VMAC_MASTER)
		return v;
	set_mac(eth->h_dest, own);
	return bpf_skb_change_type(skb, PACKET_HOST) ? VMAC_NONE : VMAC_MASTER;
}

/*
 * tc_in is what weir_tc decides. It calls tc_balance in one place: the compiler would put a copy in
 * each, and the kernel would verify both.
 */
static INLINE int tc_in(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_HOST) {
		if (skb->pkt_type != PACKET_OTHERHOST)
			return TC_ACT_UNSPEC;
		switch (tc_vmac(skb)) {
		case VMAC_MASTER:
			break;
		case VMAC_STANDBY:
			return TC_ACT_SHOT;
		default:
			return TC_ACT_UNSPEC;
		}
	}
	return tc_balance(skb);
}

/* weir_tc balances what comes in by a device, at tc, where XDP is not to be had. */
SEC("tc")
int weir_tc(struct __sk_buff *skb)
{
	return tc_accept(skb, tc_in(skb));
}

/* weir_tc_l3 is weir_tc for a device without Ethernet. */
SEC("tc")
int weir_tc_l3(struct __sk_buff *skb)
{
	if (skb->pkt_type != PACKET_HOST || !l3_enter(skb))
		return TC_ACT_UNSPEC;
	return tc_balance(skb);
}

/*
 * tc_mend_type has the stack take a frame that weir_xdp has made one to the device, and says
 * whether it is one. veth has said whose a frame is before its XDP program changes that, and
 * does not look again for a frame to the device itself (veth_xdp_rcv_skb in drivers/net/veth.c).
 */
static INLINE bool tc_mend_type(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	return skb->pkt_type == PACKET_OTHERHOST && (void *)(eth + 1) <= (void *)(long)skb->data_end &&
	       device_mac && mac_word(eth->h_dest) == device_mac && !bpf_skb_change_type(skb, PACKET_HOST);
}

/* tc_behind is what weir_behind decides. */
static INLINE int tc_behind(struct __sk_buff *skb)
{
	struct work *w = work_of();
	enum parsed parsed;
	struct headers h;
	struct packet p;

	skb_packet(&p, skb);
	if (vlan_devices && skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (!w || (skb->pkt_type != PACKET_HOST && !tc_mend_type(skb)) || (skb_lacks_eth(skb) && !skb_restore_eth(skb)))
		return TC_ACT_UNSPEC;
	parsed = parse_skb(skb, &h, &p);
	if (parsed == PARSED && !passes_by(&p.key) && is_reply_by_tc(&p.key, skb->ifindex)) {
		p.bytes = skb->len - sizeof(struct ethhdr);
		return skb_route(skb, w, &h, &p);
	}
	if (parsed != PARSED_FRAGMENT && parsed != PARSED_ICMP)
		return TC_ACT_UNSPEC;
	switch (skb_classify(skb)) {
	case NEXT_ROUTE:
		if (fragment_has_waiting(w) || is_reply_by_tc(&w->packet.key, skb->ifindex))
			return skb_slow_finish(skb, slow_route_asking(skb, false));
		break;
	case NEXT_SLOW_ROUTE:
		if (parsed == PARSED_FRAGMENT || is_reply_by_tc(&w->packet.key, skb->ifindex))
			return skb_slow_finish(skb, slow_route());
	}
	return TC_ACT_UNSPEC;
}

/*
 * weir_behind stands at tc ingress where weir_xdp is at XDP, which leaves it three kinds
 * of packets: fragments that have to wait, those that others wait for, and answers to
 * local clients and to those by whose devices XDP does not send; and what goes up the stack.
 */
SEC("tc")
int weir_behind(struct __sk_buff *skb)
{
	return tc_accept(skb, tc_behind(skb));
}

/*
 * weir_local_out balances what this machine itself sends, and translates the answers of
 * local nodes behind NAT. weir_egress calls it.
 */
SEC("tc")
int weir_local_out(struct __sk_buff *skb)
{
	struct work *w = work_of();
	enum parsed parsed;
	struct headers h;
	struct packet p;
	enum verdict v;

	skb_packet(&p, skb);
	if (!w)
		return TC_ACT_UNSPEC;
	p.local_out = true;
	w->check = check_mark_of(skb);
	parsed = parse_pulled(skb, &h, &p);
	if (parsed == PARSED) {
		if (w->check && !service_of(&p))
			return TC_ACT_SHOT; /* not to another server than the check's */
		p.bytes = skb->len - sizeof(struct ethhdr);
		p.sender = 0;
		return skb_route(skb, w, &h, &p);
	}
	if (parsed != PARSED_FRAGMENT && parsed != PARSED_ICMP)
		return TC_ACT_UNSPEC;
	switch (skb_classify(skb)) {
	case NEXT_ROUTE:
		set_local_out(w);
		v = route_packet();
		break;
	case NEXT_SLOW_ROUTE:
		set_local_out(w);
		if (parsed == PARSED_ICMP && !reply_of(&w->packet.key))
			return TC_ACT_UNSPEC;
		v = slow_route();
		break;
	default:
		return TC_ACT_UNSPEC;
	}
	return v == HOLD ? TC_ACT_UNSPEC : skb_slow_send(skb, v);
}

/*
 * weir_egress drops ARP and neighbour advertisements for a VIP whose lease has run out,
 * whatever the stack would say. It calls weir_local_out for packets that concern that
 * program: a program that may change packets costs every packet the room for that.
 */
SEC("tc")
int weir_egress(struct __sk_buff *skb)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct packet p = {};
	struct ethhdr *eth;
	struct headers h;
	__be16 type;

	if (skb->ingress_ifindex && skb->protocol == bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC; /* it is forwarded: neither ARP nor from here */
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return TC_ACT_UNSPEC;
	type = eth_type(eth);
	if (type == bpf_htons(ETH_P_ARP))
		return arp_silenced(&c) || vmac_silenced(eth, skb->ifindex) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	if (type == bpf_htons(ETH_P_IPV6) && neighbour_silenced(&c))
		return TC_ACT_SHOT;
	if (skb->ingress_ifindex || skb->tc_index == TC_INDEX_BALANCED)
		return TC_ACT_UNSPEC;
	if (parse_ip(&(struct cursor){ eth + 1, c.end }, type, &h, &p, NULL) != PARSED_OTHER &&
	    local_out_wanted(&p.key))
		bpf_tail_call(skb, &tails, 0);
	if (p.protocol == IPPROTO_IGMP || p.protocol == IPPROTO_ICMPV6)
		return vmac_guards(eth, c.end, skb->ifindex) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	return TC_ACT_UNSPEC;
}

/*
 * weir_limits sets a server's thresholds, and whether the server is full by them: in the
 * kernel an edit changes that at once (__ip_vs_update_dest,
 * net/netfilter/ipvs/ip_vs_ctl.c).
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
	load_update_full(l);
	return 0;
}

/* weir_jiffies tells Go the kernel's jiffies, by which Go sets the clock (base/clock.h). */
SEC("syscall")
int weir_jiffies(struct jiffies *j)
{
	j->now = bpf_jiffies64();
	return 0;
}

/*
 * weir_sweep looks at some expiry entries, and not at so many that packets wait for it
 * long.
 */
SEC("syscall")
int weir_sweep(struct sweep *s)
{
	struct sweep found = *s;

	if (found.span)
		conn_limits.span = found.span;
	
	found.first += bpf_loop(found.entries / ENTRIES_PER_TURN, sweep_some, &found, 0) * ENTRIES_PER_TURN;
	found.span = slots_span(conn_limits.span, slot_sizes.slots);
	*s = found;
	return 0;
}

/*
 * weir_settle_flows stores in the connections when these lines of the flow cache were last
 * used. Go calls it before lines are looked for elsewhere.
 */
SEC("syscall")
int weir_settle_flows(struct flow_pairs *some)
{
	struct flow_pairs these = *some;

	bpf_loop(these.pairs, settle_pair, &these, 0);
	return 0;
}

/*
 * weir_move enters the connections in these slots into the index in force. Go calls it after it has
 * made a larger one.
 */
SEC("syscall")
int weir_move(struct moved *some)
{
	struct moved these = *some;

	bpf_loop(these.slots, move_slot, &these, 0);
	some->failed = these.failed;
	return 0;
}

/*
 * weir_take_older takes over connections of an older build. Go calls it for those that no packet
 * has asked for.
 */
SEC("syscall")
int weir_take_older(struct older_keys *some)
{
	__u32 failed = 0;

#pragma unroll
	for (__u32 i = 0; i < OLDER_AT_A_TIME; i++) {
		struct flow_key key = some->key[i];

		if (i < some->keys && !older_take(&key))
			failed++;
	}
	some->failed = failed;
	return 0;
}

/*
 * weir_cut looks at CUT_AT_A_TIME expiry entries from that on whose index is in cb[0], and
 * deletes connections of clients that a rule denies. No packet comes to it.
 */
SEC("tc")
int weir_cut(struct __sk_buff *skb)
{
	__u32 first = skb->cb[0];

	bpf_loop(CUT_AT_A_TIME, cut_some, &first, 0);
	return TC_ACT_OK;
}

/* weir_sweep_templates is weir_sweep for the templates. */
SEC("syscall")
int weir_sweep_templates(struct sweep *s)
{
	struct sweep found = *s;

	found.first += bpf_loop(found.entries / ENTRIES_PER_TURN, sweep_some_templates, &found, 0) * ENTRIES_PER_TURN;
	*s = found;
	return 0;
}

/*
 * weir_list_templates looks at every template, and gives each an expiry entry that has none:
 * those of a version without such entries, and those that came when there was no room. It
 * tells how many it has given one.
 */
SEC("syscall")
int weir_list_templates(struct sweep *s)
{
	struct sweep found = *s;

	template_tables.unlisted = 0;
	bpf_for_each_map_elem(&templates, list_template, &found, 0);
	*s = found;
	return 0;
}

/*
 * weir_sweep_cache looks at every line of the cache of lblc and lblcr, and at every
 * block of its sets' members.
 */
SEC("syscall")
int weir_sweep_cache(struct cache_sweep *s)
{
	struct cache_sweep found = { .epoch = s->epoch, .now = s->now, .goal = s->goal };

	bpf_for_each_map_elem(&cache, cache_sweep_line, &found, 0);
	bpf_for_each_map_elem(&member_blocks, cache_sweep_block, &found, 0);
	s->lines = found.lines;
	return 0;
}
