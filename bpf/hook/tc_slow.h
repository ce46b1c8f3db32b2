/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tc_slow.h - the slow path at tc. */
#ifndef WEIR_HOOK_TC_SLOW_H
#define WEIR_HOOK_TC_SLOW_H

#include "base/bpf.h"
#include "forward/local.h"
#include "hook/tc_finish.h"
#include "hook/tc_hold.h"
#include "hook/tc_parse.h"
#include "parse/packet.h"
#include "slow/classify.h"
#include "slow/fragment.h"
#include "slow/icmp_quote.h"
#include "slow/send.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * skb_classify finds out what a packet of the slow path is. It returns an enum
 * slow_next.
 */
__noinline int skb_classify(struct __sk_buff *skb)
{
	struct work *w = work_of();
	enum slow_next next;

	if (!w || skb_pull(skb))
		return NEXT_PASS;
	w->slow.copy = false;
	w->waiting = 0;
	next = classify((void *)(long)skb->data, (void *)(long)skb->data_end, w, skb->ifindex);
	w->packet.bytes = skb->len - sizeof(struct ethhdr) - w->slow.tag_bytes;
	return next;
}

/*
 * skb_slow_send carries out the verdict on a packet of the slow path (enum verdict), and
 * returns a tc action. Where other fragments wait for the packet, it sends a copy: the
 * skb is then each of them in turn.
 */
__noinline int skb_slow_send(struct __sk_buff *skb, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;
	bool copy;

	if (!w)
		return TC_ACT_UNSPEC;
	if (w->slow.kind == SLOW_FIRST_FRAGMENT)
		w->waiting = fragment_settle(w, v, true);
	if (w->packet.local_out) /* its fragments come in their order */
		w->waiting = 0;
	copy = w->waiting || w->slow.copy;
	if (v == HOLD || (v == PASS && !copy))
		return TC_ACT_UNSPEC;
	/*
	 * No copy can be given a route. The copy comes in once more, finds the first
	 * fragment settled, and is then sent itself.
	 */
	if (v == FORWARD && copy && to_local_client(w))
		return skb_reinject(skb);
	if (!slow_headers((void *)(long)skb->data, (void *)(long)skb->data_end, &h, &q, w, false))
		return TC_ACT_UNSPEC;
	if (v == FORWARD)
		v = slow_send(&h, &q, &sent, w);
	/* The kernel's helpers cannot insert bytes between VLAN tags and the packet. */
	if (w->slow.tag_bytes && (v == REFUSE || v == TOO_BIG || sent.outer))
		return TC_ACT_SHOT;
	if (v == REFUSE || v == TOO_BIG)
		w->waiting = 0;
	return skb_finish(skb, &h, &w->packet, &sent, v, w->slow.kind == SLOW_WHOLE, copy);
}

/*
 * skb_next makes the skb the next fragment that has waited, and says whether there was
 * one.
 */
__noinline int skb_next(struct __sk_buff *skb)
{
	struct work *w = work_of();
	__u64 next;

	if (!w || !skb_held(skb, w))
		return false;
	next = w->waiting;
	if (skb_classify(skb) != NEXT_SLOW_ROUTE)
		return false;
	w->waiting = next;
	w->slow.copy = true;
	return true;
}

/*
 * How many fragments are released at once: as many as the longest packet has at the
 * smallest MTU of IPv6, and some more.
 */
#define RELEASE_MOST 64

/*
 * skb_slow_finish carries out the verdict on a packet, and then sends the fragments that
 * waited for it. It returns a tc action.
 */
static INLINE int skb_slow_finish(struct __sk_buff *skb, enum verdict v)
{
	int ret;

	if (v == HOLD)
		v = skb_hold(skb);
	if (v == HOLD) /* the first fragment has come meanwhile */
		v = slow_route();
	ret = skb_slow_send(skb, v);
	for (int i = 0; i < RELEASE_MOST; i++) {
		if (!skb_next(skb))
			break;
		skb_slow_send(skb, slow_route());
	}
	return ret;
}

#endif
