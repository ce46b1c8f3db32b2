/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * classify.h - packets that do not carry the full flow key take the slow path, so that
 * the fast path does not pay for them: ICMP errors, fragments, frames with VLAN tags.
 * The slow path has three parts, each verified by itself: the hook's classify function
 * finds out what the packet is, route_packet() or slow_route() decides on it, and the
 * hook's send function sends it. The parts pass on offsets into the frame.
 */
#ifndef WEIR_SLOW_CLASSIFY_H
#define WEIR_SLOW_CLASSIFY_H

#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/cursor.h"
#include "parse/frame.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "service/addr_filter.h"
#include "slow/icmp.h"
#include "slow/icmp_quote.h"
#include "slow/tags.h"
#include "verdict/work.h"

/* Who decides on a packet of the slow path. */
enum slow_next {
	NEXT_PASS,       /* nobody: it goes up the local stack */
	NEXT_ROUTE,      /* route_packet() */
	NEXT_SLOW_ROUTE, /* slow_route() */
};

/* slow_fragment_key stores the key of the packet that this is a fragment of. */
static INLINE void slow_fragment_key(struct slow_packet *r, const struct packet *p)
{
	r->fragment.from = p->key.from;
	r->fragment.to = p->key.to;
	r->fragment.id = r->piece.id;
	r->fragment.protocol = p->ip6 ? 0 : p->protocol;
}

/*
 * frame_offset is how many bytes into the frame a header begins. It is even for each
 * header.
 */
static INLINE __u32 frame_offset(void *data, void *header)
{
	return header - data;
}

/* The largest offset of a header: the longest extension headers, twice. */
#define MAX_FRAME_OFFSET 0x7ffe

/*
 * frame_part is a pointer to n bytes of the frame at an offset, or NULL where the frame
 * ends before.
 */
static INLINE void *frame_part(void *data, void *end, __u32 at, __u32 n)
{
	void *p;

	asm volatile("" : "+r"(at)); /* so that the verifier sees that it is bounded */
	p = data + (at & MAX_FRAME_OFFSET);
	return p + n > end ? NULL : p;
}

/* slow_next_of is next, unless the packet passes by. */
static INLINE enum slow_next slow_next_of(const struct work *w, enum slow_next next)
{
	return passes_by(&w->packet.key) ? NEXT_PASS : next;
}

/* classify_icmp is classify for what may be an ICMP error. */
static INLINE enum slow_next classify_icmp(void *data, struct cursor *c, struct work *w)
{
	struct packet *p = &w->packet;
	struct slow_packet *r = &w->slow;
	struct quote q;

	/*
	 * All paths of the parser go on as one from here, at an offset from memory;
	 * otherwise verifying takes too long.
	 */
	r->icmp = frame_offset(data, c->pos);
	c->pos = frame_part(data, c->end, r->icmp, sizeof(struct icmp_head));
	if (!c->pos || r->piece.first || !parse_quote(c, &q, p, &r->quoted))
		return NEXT_PASS;
	r->kind = SLOW_ICMP_ERROR;
	r->quote = q.ip4 ? frame_offset(data, q.ip4) : frame_offset(data, q.ip6);
	r->l4 = frame_offset(data, q.l4);
	r->check = q.check ? frame_offset(data, q.check) : 0;
	return slow_next_of(w, NEXT_SLOW_ROUTE);
}

/*
 * classify finds out what a packet is, and stores in this CPU's work the offsets of its
 * headers. It reads from the start of the frame.
 */
static INLINE enum slow_next classify(void *data, void *end, struct work *w, __u32 ifindex)
{
	struct cursor c = { data, end };
	struct packet *p = &w->packet;
	struct slow_packet *r = &w->slow;
	enum parsed parsed;
	struct headers h;
	__be16 type;

	p->ifindex = ifindex;
	p->packets = 1;
	p->tcp_flags = 0;
	p->local_out = false;
	p->at_xdp = false;
	r->piece = (struct ip_fragment){};
	r->l4 = r->check = r->icmp = r->quote = 0;
	h.eth = take(&c, sizeof(*h.eth));
	if (!h.eth || (device_mac && mac_word(h.eth->h_dest) != device_mac))
		return NEXT_PASS;
	type = parse_tags(&c, r, eth_type(h.eth));
	p->sender = sender_word(h.eth->h_source, ifindex);
	set_reply_route(w, &h);
	r->ip = frame_offset(data, c.pos);
	parsed = parse_ip(&c, type, &h, p, &r->piece);
	slow_fragment_key(r, p);
	if (parsed == PARSED_FRAGMENT) {
		r->kind = SLOW_LATER_FRAGMENT;
		return slow_next_of(w, NEXT_SLOW_ROUTE);
	}
	if (parsed != PARSED)
		return NEXT_PASS;
	parsed = parse_ports(&c, &h, p);
	if (parsed == PARSED_ICMP)
		return classify_icmp(data, &c, w);
	if (parsed != PARSED)
		return NEXT_PASS;
	r->kind = r->piece.first ? SLOW_FIRST_FRAGMENT : SLOW_WHOLE;
	r->l4 = frame_offset(data, h.l4);
	r->check = frame_offset(data, h.check);
	return slow_next_of(w, NEXT_ROUTE);
}

/* slow_whole has the slow path send a packet that parse has read. */
static INLINE void slow_whole(struct work *w, const struct headers *h, const struct packet *p)
{
	struct slow_packet *r = &w->slow;

	w->packet = *p;
	w->waiting = 0;
	r->kind = SLOW_WHOLE;
	r->tag_bytes = r->icmp = r->quote = 0;
	r->ip = sizeof(struct ethhdr);
	r->l4 = frame_offset(h->eth, h->l4);
	r->check = frame_offset(h->eth, h->check);
	r->copy = false;
}

/*
 * slow_headers finds the headers again, at the offsets that classify has stored, with a complete
 * checksum or not (summed). False: the frame is shorter now.
 */
static INLINE bool slow_headers(void *data, void *end, struct headers *h, struct quote *q,
				const struct work *w, bool summed)
{
	const struct slow_packet *r = &w->slow;
	bool ip6 = w->packet.ip6;

	h->eth = data;
	if (data + sizeof(*h->eth) > end)
		return false;
	h->ip4 = NULL;
	h->ip6 = NULL;
	h->summed = summed;
	if (ip6) {
		h->ip6 = frame_part(data, end, r->ip, sizeof(*h->ip6));
		if (!h->ip6)
			return false;
	} else {
		h->ip4 = frame_part(data, end, r->ip, sizeof(*h->ip4));
		if (!h->ip4)
			return false;
	}
	h->l4 = r->l4 ? frame_part(data, end, r->l4, sizeof(struct udphdr)) : NULL;
	h->check = r->check ? frame_part(data, end, r->check, sizeof(__u16)) : NULL;
	q->icmp = r->icmp ? frame_part(data, end, r->icmp, sizeof(struct icmp_head)) : NULL;
	q->ip4 = r->icmp && !ip6 ? frame_part(data, end, r->quote, sizeof(struct iphdr)) : NULL;
	q->ip6 = r->icmp && ip6 ? frame_part(data, end, r->quote, sizeof(struct ipv6hdr)) : NULL;
	q->l4 = h->l4;
	q->check = h->check;
	return true;
}

#endif
