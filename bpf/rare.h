/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rare.h - the way of packets that are not all there is to know of a flow:
 * fragments, ICMP errors, frames with VLAN tags in them. It has three parts, each
 * verified by itself: a place's rare function finds out what the packet is,
 * full() or rare_route() decides of it, and the place's other function sends it.
 */
#ifndef WEIR_RARE_H
#define WEIR_RARE_H

/* Who decides of the packet. */
enum rare_next {
	RARE_PASS,  /* nobody: up the local stack */
	RARE_FULL,  /* full() */
	RARE_ROUTE, /* rare_route() */
};

/* take_tags moves the cursor over up to two VLAN tags, and returns the type behind them. */
static INLINE __be16 take_tags(struct cursor *c, struct rare *r, __be16 type)
{
	__be16 *tag;

	r->tag_bytes = 0;
	for (__u32 i = 0; i < 2 && is_tag(type); i++) {
		tag = take(c, 4);
		if (!tag)
			return 0;
		r->tags[i] = type | (__u32)tag[0] << 16;
		r->tag_bytes += 4;
		type = tag[1];
	}
	return type;
}

/* rare_fragment writes down whose fragment this is. */
static INLINE void rare_fragment(struct rare *r, const struct packet *p)
{
	r->fragment.from = p->key.from;
	r->fragment.to = p->key.to;
	r->fragment.id = r->piece.id;
	r->fragment.protocol = p->ip6 ? 0 : p->protocol;
}

/* offset is how far into the frame a header is; each begins at an even place. */
static INLINE __u32 offset(void *data, void *header)
{
	return header - data;
}

/* No header begins farther into a frame: the longest extension headers, twice. */
#define OFFSET_MOST 0x7ffe

/* part is n bytes of the frame from there on, or NULL. */
static INLINE void *part(void *data, void *end, __u32 at, __u32 n)
{
	void *p;

	asm volatile("" : "+r"(at)); /* the verifier is to see that it is bounded */
	p = data + (at & OFFSET_MOST);
	return p + n > end ? NULL : p;
}

/* rare_error is rare_begin for what may be an ICMP error. */
static INLINE enum rare_next rare_error(void *data, struct cursor *c, struct work *w)
{
	struct packet *p = &w->packet;
	struct rare *r = &w->rare;
	struct quote q;

	/* One way on for all that led here, or verifying takes too long. */
	r->icmp = offset(data, c->pos);
	c->pos = part(data, c->end, r->icmp, sizeof(struct icmp_head));
	if (!c->pos || r->piece.first || !parse_quote(c, &q, p, &r->quoted))
		return RARE_PASS;
	r->kind = RARE_ERROR;
	r->quote = q.ip4 ? offset(data, q.ip4) : offset(data, q.ip6);
	r->l4 = offset(data, q.l4);
	r->check = q.check ? offset(data, q.check) : 0;
	return RARE_ROUTE;
}

/* rare_begin finds out what the packet is, and where its parts are. */
static INLINE enum rare_next rare_begin(void *data, void *end, struct work *w, __u32 ifindex)
{
	struct cursor c = { data, end };
	struct packet *p = &w->packet;
	struct rare *r = &w->rare;
	enum parsed parsed;
	struct headers h;
	__be16 type;

	p->ifindex = ifindex;
	p->packets = 1;
	p->tcp_flags = 0;
	p->own = false;
	r->piece = (struct piece){};
	r->l4 = r->check = r->icmp = r->quote = 0;
	h.eth = take(&c, sizeof(*h.eth));
	if (!h.eth || (device_mac && mac_word(h.eth->h_dest) != device_mac))
		return RARE_PASS;
	type = take_tags(&c, r, h.eth->h_proto);
	p->sender = mac_word(h.eth->h_source) | (__u64)ifindex << 48;
	came_by(w, &h);
	r->ip = offset(data, c.pos);
	parsed = parse_ip(&c, type, &h, p, &r->piece);
	rare_fragment(r, p);
	if (parsed == PARSED_FRAGMENT) {
		r->kind = RARE_LATER;
		return RARE_ROUTE;
	}
	if (parsed != PARSED)
		return RARE_PASS;
	parsed = parse_ports(&c, &h, p);
	if (parsed == PARSED_ICMP)
		return rare_error(data, &c, w);
	if (parsed != PARSED)
		return RARE_PASS;
	r->kind = r->piece.first ? RARE_FIRST : RARE_WHOLE;
	r->l4 = offset(data, h.l4);
	r->check = offset(data, h.check);
	return RARE_FULL;
}

/* rare_headers finds the parts again. */
static INLINE bool rare_headers(void *data, void *end, struct headers *h, struct quote *q, const struct work *w)
{
	const struct rare *r = &w->rare;
	bool ip6 = w->packet.ip6;

	h->eth = data;
	if (data + sizeof(*h->eth) > end)
		return false;
	h->ip4 = NULL;
	h->ip6 = NULL;
	if (ip6) {
		h->ip6 = part(data, end, r->ip, sizeof(*h->ip6));
		if (!h->ip6)
			return false;
	} else {
		h->ip4 = part(data, end, r->ip, sizeof(*h->ip4));
		if (!h->ip4)
			return false;
	}
	h->l4 = r->l4 ? part(data, end, r->l4, sizeof(struct udphdr)) : NULL;
	h->check = r->check ? part(data, end, r->check, sizeof(__u16)) : NULL;
	h->check_offset = r->check;
	q->icmp = r->icmp ? part(data, end, r->icmp, sizeof(struct icmp_head)) : NULL;
	q->ip4 = r->icmp && !ip6 ? part(data, end, r->quote, sizeof(struct iphdr)) : NULL;
	q->ip6 = r->icmp && ip6 ? part(data, end, r->quote, sizeof(struct ipv6hdr)) : NULL;
	q->l4 = h->l4;
	q->check = h->check;
	return true;
}

/* rare_route decides of what has no ports of its own. */
__noinline int rare_route(void)
{
	struct work *w = work_of();

	if (!w)
		return PASS;
	return w->rare.kind == RARE_ERROR ? related(w) : follow(w);
}

/* rare_to_server sends to the server what has no ports of its own, and counts it. */
static INLINE enum verdict rare_to_server(const struct headers *h, const struct quote *q, struct sent *sent,
					  struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);
	const struct packet *p = &w->packet;
	__u32 method = w->method;
	struct addr *source;
	enum verdict v;
	bool up;

	if (!s)
		return drop(DROP_SERVER_REMOVED);
	up = s->flags & SERVER_LOCAL;
	if (!up && p->bytes + outer_bytes(s, method) > s->mtu) {
		v = too_big(h, p, sent, s, method);
		return q->icmp ? DROP : v;
	}
	switch (METHOD_OF(method)) {
	case METHOD_NAT:
		v = up ? UP : direct(h, sent, s);
		if (v == DROP)
			break;
		if (q->icmp)
			requote(h, q, w->rare.quoted.protocol == IPPROTO_UDP, &p->key.to, &s->addr,
				port_at(s, method, &p->key), true);
		else
			rewrite_addr(h, &p->key.to, &s->addr, true);
		break;
	case METHOD_TUN:
		v = tunnel(h, p, sent, s);
		break;
	default:
		v = direct(h, sent, s);
	}
	source = own_source(s, &p->key, method);
	if (source && v == FORWARD && !q->icmp)
		rewrite_addr(h, &p->key.from, source, false);
	if (v != DROP) {
		count(&service_stats, s->service, 0, p->packets, p->bytes);
		count(&server_stats, w->server, 0, p->packets, p->bytes);
	}
	return v;
}

/* rare_to_client sends it to the client, as from the virtual address. */
static INLINE enum verdict rare_to_client(const struct headers *h, const struct quote *q, struct sent *sent,
					  struct work *w)
{
	const struct packet *p = &w->packet;
	bool to_vip = w->reply.back.ifindex & WAY_TO_VIP;

	if (!hop_taken(h))
		return drop(DROP_TTL);
	/* What says to_vip is not behind NAT: one of the two ends changes. */
	if (q->icmp)
		requote(h, q, w->rare.quoted.protocol == IPPROTO_UDP, to_vip ? &p->key.to : &p->key.from,
			&w->reply.vip, to_vip ? w->reply.ports : w->reply.ports >> 16, to_vip);
	else
		rewrite_addr(h, &p->key.from, &w->reply.vip, false);
	head_for(h, sent, &w->reply.back);
	count_out(&service_stats, w->service, p->packets, p->bytes);
	count_out(&server_stats, w->server, p->packets, p->bytes);
	if (!goes_home(w))
		return FORWARD;
	if (to_vip && !q->icmp)
		rewrite_addr(h, &p->key.to, &w->reply.vip, true);
	sent->ifindex = WAY_HOME;
	return HOME;
}

/* rare_send sends a packet where full() or rare_route() wants it. */
static INLINE enum verdict rare_send(const struct headers *h, const struct quote *q, struct sent *sent,
				     struct work *w)
{
	enum verdict v;

	if (q->icmp ? !q->l4 : w->rare.kind < RARE_LATER && (!h->l4 || !h->check))
		return DROP;
	if (!q->icmp && h->l4 && h->check)
		return send_on(h, &w->packet, sent, w);
	v = w->answers ? rare_to_client(h, q, sent, w) : rare_to_server(h, q, sent, w);
	if (v != DROP && q->icmp)
		note(NOTE_ICMP_FORWARDED);
	return v;
}

#endif
