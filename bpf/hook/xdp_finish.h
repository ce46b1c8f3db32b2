/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * xdp_finish.h - XDP carries a verdict out: it has the bytes of a packet and nothing
 * else.
 */
#ifndef WEIR_HOOK_XDP_FINISH_H
#define WEIR_HOOK_XDP_FINISH_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/tunnel.h"
#include "parse/packet.h"
#include "slow/icmp_error.h"
#include "slow/icmp_write.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * xdp_untag takes so many bytes of VLAN tags out of a frame that leaves by another
 * device. False: it could not.
 */
static INLINE bool xdp_untag(struct xdp_md *ctx, __u32 tag_bytes)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr head, *to;

	if (data + sizeof(head) + MAX_TAGS * TAG_BYTES > end)
		return false;
	__builtin_memcpy(&head, data, sizeof(head));
	to = data + (tag_bytes == TAG_BYTES ? TAG_BYTES : 2 * TAG_BYTES);
	__builtin_memcpy(to, &head, offsetof(struct ethhdr, h_proto));
	return !bpf_xdp_adjust_head(ctx, tag_bytes == TAG_BYTES ? TAG_BYTES : 2 * TAG_BYTES);
}

/*
 * xdp_encapsulate puts the outer header of so many bytes in front of the packet. False:
 * it could not.
 */
static NOINLINE bool xdp_encapsulate(struct xdp_md *ctx, __u32 bytes, __u32 tag_bytes)
{
	struct work *w = work_of();

	if (!w || bpf_xdp_adjust_head(ctx, -(int)bytes))
		return false;
	return outer_write((void *)(long)ctx->data, (void *)(long)ctx->data_end, w, bytes, tag_bytes);
}

/*
 * xdp_icmp turns the packet into this CPU's error and sends it back, within the limit of
 * errors. It returns an XDP action. The verifier looks at it once, not for each caller: it
 * has loops.
 */
__noinline int xdp_icmp(struct xdp_md *ctx)
{
	struct icmp_error *e = icmp_of();
	int cut;

	if (!e)
		return XDP_DROP;
	icmp_settle_refusal(e);
	cut = (int)(e->quote + sizeof(struct ethhdr) + e->tag_bytes) - (int)bpf_xdp_get_buff_len(ctx);
	if (!icmp_allowed(e) || bpf_xdp_adjust_tail(ctx, cut) || bpf_xdp_adjust_head(ctx, -icmp_grows(e)))
		return XDP_DROP;
	if (e->ip6 ? icmp6_write(ctx, false, e) : icmp4_write(ctx, false, e))
		return XDP_DROP;
	note(NOTE_ICMP_SENT);
	return XDP_TX;
}

/* xdp_error is xdp_icmp for an error that may be NULL, with the packet's VLAN tags. */
static INLINE int xdp_error(struct xdp_md *ctx, struct icmp_error *e, __u32 tag_bytes)
{
	if (!e)
		return XDP_DROP;
	if (tag_bytes)
		icmp_tagged(e, tag_bytes);
	return xdp_icmp(ctx);
}

/*
 * xdp_finish carries out the verdict on a packet whose frame has so many bytes of VLAN
 * tags. It returns an XDP action.
 */
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

#endif
