/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xdp_slow.h - the slow path at XDP. */
#ifndef WEIR_HOOK_XDP_SLOW_H
#define WEIR_HOOK_XDP_SLOW_H

#include "base/bpf.h"
#include "forward/local.h"
#include "hook/xdp_finish.h"
#include "parse/packet.h"
#include "slow/classify.h"
#include "slow/fragment.h"
#include "slow/icmp_quote.h"
#include "slow/send.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * xdp_classify finds out what a packet of the slow path is. It returns an enum
 * slow_next: NEXT_PASS as well for a first fragment that others wait for, since tc then
 * sends them all.
 */
__noinline int xdp_classify(struct xdp_md *ctx)
{
	struct work *w = work_of();
	enum slow_next next;

	if (!w)
		return NEXT_PASS;
	next = classify((void *)(long)ctx->data, (void *)(long)ctx->data_end, w, ctx->ingress_ifindex);
	/* Where others wait for the first fragment, weir_behind sends them all. */
	if (next == NEXT_ROUTE && w->slow.kind == SLOW_FIRST_FRAGMENT && fragment_has_waiting(w))
		return NEXT_PASS;
	return next;
}

/*
 * xdp_slow_send carries out the verdict on a packet of the slow path (enum verdict). It
 * returns an XDP action.
 */
__noinline int xdp_slow_send(struct xdp_md *ctx, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;

	if (!w || v == HOLD || (v == FORWARD && to_client_by_tc(w)))
		return XDP_PASS;
	if (w->slow.kind == SLOW_FIRST_FRAGMENT && fragment_settle(w, v, false)) {
		/* weir_behind sends it, and the fragments that wait. */
		if (v == FORWARD && !w->to_client)
			count_begun(w);
		return XDP_PASS;
	}
	if (v == PASS)
		return XDP_PASS;
	if (!slow_headers((void *)(long)ctx->data, (void *)(long)ctx->data_end, &h, &q, w, true))
		return XDP_PASS;
	if (v == FORWARD)
		v = slow_send(&h, &q, &sent, w);
	return xdp_finish(ctx, &h, &w->packet, &sent, v, w->slow.tag_bytes);
}

#endif
