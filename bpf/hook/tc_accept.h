/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_accept.h - packets to the addresses of a master that does not accept them (no_accept,
 * RFC 9568 section 6.4.3): it forwards what is for a service, answers ARP and neighbour
 * solicitations, and drops the rest. Only packets that are about to go up the stack are asked
 * for, so forwarded ones pay nothing; where no instance has no_accept, one load of memory is
 * all that others pay.
 */
#ifndef WEIR_HOOK_TC_ACCEPT_H
#define WEIR_HOOK_TC_ACCEPT_H

#include "abi.h"
#include "balance/conntrack.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "hook/tc_parse.h"
#include "parse/cursor.h"
#include "parse/frame.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "service/service.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* The first of ICMPv6's types that are no errors, and those of neighbour discovery (RFC 4443, RFC 4861). */
#define ICMP6_FIRST_INFORMATIONAL 128
#define ICMP6_FIRST_NEIGHBOUR 133
#define ICMP6_LAST_NEIGHBOUR 137

/* ICMP's types of errors (RFC 792): other ones are questions and answers. */
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_REDIRECT 5
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12

/* accepts_all says whether no instance has no_accept. Lease 0 is of no instance, and tells. */
static INLINE bool accepts_all(void)
{
	__u32 none = 0;
	struct lease *l = bpf_map_lookup_elem(&leases, &none);

	return !l || !l->no_accept;
}

/* refuses_for says whether an address is one of a master with no_accept. */
static INLINE bool refuses_for(const struct addr *to)
{
	__u32 *index = bpf_map_lookup_elem(&vips, to);
	struct lease *l;

	if (!index)
		return false;
	l = bpf_map_lookup_elem(&leases, index);
	return l && l->no_accept && l->until;
}

/* icmp_is_taken says whether an ICMP packet is an error, or of neighbour discovery. */
static INLINE bool icmp_is_taken(struct cursor *c, bool ip6)
{
	__u8 *type = take(c, 1);

	if (!type)
		return false;
	if (ip6)
		return *type < ICMP6_FIRST_INFORMATIONAL ||
		       (*type >= ICMP6_FIRST_NEIGHBOUR && *type <= ICMP6_LAST_NEIGHBOUR);
	switch (*type) {
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_REDIRECT:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER:
		return true;
	}
	return false;
}

/*
 * is_refused says whether a packet that would go up the stack is to an address that does not
 * accept it. What a service takes is never refused: a local node's packets, and those of
 * another director that is master as well. A later fragment has no port, and is nothing
 * without its first. An answer to a connection that this machine tracks, which it may
 * translate to the address for others (SNAT), is not for the address itself.
 */
static NOINLINE bool is_refused(struct __sk_buff *skb)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct ethhdr *eth = take(&c, sizeof(*eth));
	struct ip_fragment piece = {};
	struct packet p = {};
	struct headers h;
	struct work *w;
	enum parsed parsed;

	if (!eth)
		return false;
	parsed = parse_ip(&c, eth_type(eth), &h, &p, &piece);
	if (parsed == PARSED_SHORT || piece.later || !refuses_for(&p.key.to))
		return false;
	if (parsed == PARSED)
		parsed = parse_ports(&c, &h, &p);
	if (parsed == PARSED_ICMP)
		return !icmp_is_taken(&c, p.ip6);
	if (parsed != PARSED)
		return true;
	if (service_of(&p))
		return false;
	w = work_of();
	if (!w)
		return true;
	w->packet = p;
	return !conntrack_tc(skb);
}

/*
 * tc_refused is is_refused, which counts, by itself: it is a global function, so that it is
 * verified once.
 */
__noinline int tc_refused(struct __sk_buff *skb)
{
	if (skb->data + sizeof(struct ethhdr) + USUAL_HEADERS > skb->data_end)
		skb_pull(skb);
	if (!is_refused(skb))
		return 0;
	note(DROP_NOT_ACCEPTED);
	return 1;
}

/* tc_accept is what becomes of a packet at tc, of which action is all that was decided. */
static INLINE int tc_accept(struct __sk_buff *skb, int action)
{
	if (action != TC_ACT_UNSPEC || accepts_all())
		return action;
	return tc_refused(skb) ? TC_ACT_SHOT : action;
}

#endif
