/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* xdp.h - packets as XDP has them: bytes, and nothing beside. */
#ifndef WEIR_XDP_H
#define WEIR_XDP_H

/* xdp_untag takes the VLAN tags out of the frame, which leaves by another device. */
static INLINE bool xdp_untag(struct xdp_md *ctx, __u32 tag_bytes)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr head, *to;

	if (data + sizeof(head) + 8 > end)
		return false;
	__builtin_memcpy(&head, data, sizeof(head));
	to = data + (tag_bytes == 4 ? 4 : 8);
	__builtin_memcpy(to, &head, offsetof(struct ethhdr, h_proto));
	return !bpf_xdp_adjust_head(ctx, tag_bytes == 4 ? 4 : 8);
}

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
	case UP:
		if (sent->nat)
			settle_csum(h, p, sent);
		return XDP_PASS;
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
