/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_l3.h - packets that come by a device without Ethernet, such as tun, wireguard, ipip
 * and ppp: they begin with the IP header. One that may concern weir gets an Ethernet
 * header of zeros, so that all that follows finds what it expects. Where the packet goes
 * up the local stack, the kernel takes that header as it takes each
 * (tcx_run, include/net/tcx.h; cls_bpf_classify, net/sched/cls_bpf.c), and where it
 * leaves by such a device, bpf_redirect removes it.
 */
#ifndef WEIR_HOOK_TC_L3_H
#define WEIR_HOOK_TC_L3_H

#include "base/bpf.h"
#include "hook/tc_parse.h"
#include "parse/cursor.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "service/addr_filter.h"

/* l3_passes_by says whether a packet without Ethernet is nobody's business here. */
static INLINE bool l3_passes_by(struct __sk_buff *skb)
{
	struct cursor c;
	struct packet p = {};
	struct headers h;

	if ((void *)(long)skb->data + sizeof(struct ipv6hdr) > (void *)(long)skb->data_end && skb_pull(skb))
		return true;
	c.pos = (void *)(long)skb->data;
	c.end = (void *)(long)skb->data_end;
	switch (parse_ip(&c, skb->protocol, &h, &p, NULL)) {
	case PARSED:
	case PARSED_FRAGMENT:
		return passes_by(&p.key);
	default:
		return true;
	}
}

/*
 * l3_enter puts an Ethernet header of zeros in front of a packet that may concern weir.
 * False: it concerns nobody here, or that could not be done. It is a function of its own so
 * that its variables take none of the stack of what follows.
 */
static NOINLINE bool l3_enter(struct __sk_buff *skb)
{
	struct ethhdr eth = { .h_proto = skb->protocol };

	if (l3_passes_by(skb))
		return false;
	return !bpf_skb_change_head(skb, sizeof(eth), 0) && !bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0);
}

#endif
