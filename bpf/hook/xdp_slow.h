/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xdp_slow.h - the slow path at XDP. */
#ifndef WEIR_HOOK_XDP_SLOW_H
#define WEIR_HOOK_XDP_SLOW_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/local.h"
#include "hook/xdp_finish.h"
#include "parse/packet.h"
#include "slow/classify.h"
#include "slow/fragment.h"
#include "slow/send.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* xdp_rare finds out what a rare packet is (enum rare_next). */
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

/* xdp_rare_send does what was decided of it (enum verdict). */
__noinline int xdp_rare_send(struct xdp_md *ctx, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;

	if (!w || v == HOLD || (v == FORWARD && goes_home(w)))
		return XDP_PASS;
	if (w->rare.kind == RARE_FIRST && fragment_settle(w, v, false)) {
		/* The program at tc sends it, and those that wait. */
		if (v == FORWARD && !w->answers)
			count_begun(w);
		return XDP_PASS;
	}
	if (v == PASS)
		return XDP_PASS;
	if (!rare_headers((void *)(long)ctx->data, (void *)(long)ctx->data_end, &h, &q, w))
		return XDP_PASS;
	if (v == FORWARD)
		v = rare_send(&h, &q, &sent, w);
	return xdp_finish(ctx, &h, &w->packet, &sent, v, w->rare.tag_bytes);
}

#endif
