/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * related.h - ICMP errors that others send about a connection's packets: they go
 * to whom they concern, and behind NAT what they quote is made to be the packet
 * that he sent (ip_vs_in_icmp, ip_vs_out_icmp, ip_vs_nat_icmp,
 * net/netfilter/ipvs/ip_vs_core.c). They change no state, and keep nothing alive.
 */
#ifndef WEIR_RELATED_H
#define WEIR_RELATED_H

/* Where the parts of an error are. */
struct quote {
	struct icmp_head *icmp;
	struct iphdr *ip4; /* of the packet that it quotes; one of the two is NULL */
	struct ipv6hdr *ip6;
	struct udphdr *l4;
	__u16 *check; /* the quoted transport checksum, or NULL: it is cut off */
};

#define ICMP4_QUENCH 4
#define ICMP4_TIME_EXCEEDED 11
#define ICMP6_INFORMATIONAL 0x80

/* is_error says whether an ICMP message is one of the errors that the kernel looks into. */
static INLINE bool is_error(const struct icmp_head *icmp, bool ip6)
{
	if (ip6)
		return !(icmp->type & ICMP6_INFORMATIONAL);
	return icmp->type == ICMP4_UNREACHABLE || icmp->type == ICMP4_QUENCH ||
	       icmp->type == ICMP4_TIME_EXCEEDED;
}

/* quoted_ports finds the ports, of which 8 bytes of the header are enough. */
static INLINE bool quoted_ports(struct cursor *c, struct quote *q, struct packet *of)
{
	struct tcphdr *tcp = c->pos;

	if (of->protocol != IPPROTO_TCP && of->protocol != IPPROTO_UDP)
		return false;
	q->l4 = take(c, sizeof(*q->l4));
	if (!q->l4)
		return false;
	q->check = NULL;
	if (of->protocol == IPPROTO_UDP)
		q->check = &q->l4->check;
	else if (take(c, offsetof(struct tcphdr, urg_ptr) - sizeof(*q->l4)))
		q->check = &tcp->check;
	of->key.ports = q->l4->source | (__u32)q->l4->dest << 16 | (__u64)of->protocol << 32;
	return true;
}

/*
 * parse_quote reads an error, behind its IP header, and gives its packet the key of
 * the flow that it is about, as the other end's packets carry it. False: it is no
 * such error, or not for whom it should be.
 */
static INLINE bool parse_quote(struct cursor *c, struct quote *q, struct packet *p, struct packet *of)
{
	__be16 type = p->ip6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	struct piece piece = {};
	struct headers h;

	q->icmp = take(c, sizeof(*q->icmp));
	if (!q->icmp || !is_error(q->icmp, p->ip6))
		return false;
	if (parse_ip(c, type, &h, of, &piece) != PARSED || !quoted_ports(c, q, of))
		return false;
	q->ip4 = h.ip4;
	q->ip6 = h.ip6;
	if (!same_addr(&of->key.from, &p->key.to))
		return false;
	p->key.from = of->key.to;
	p->key.ports = (of->key.ports >> 16 & 0xffff) | (of->key.ports & 0xffff) << 16 |
		       of->key.ports >> 32 << 32;
	return true;
}

/* related_answer is for an error about what a client sent to a server behind NAT. */
static INLINE enum verdict related_answer(struct work *w, const struct conn *reply)
{
	struct flow_key *key = &w->other;
	struct conn *c;

	key->from = *reply_client(&reply->of.reply, &w->packet.key);
	key->to = reply->of.reply.vip;
	key->ports = reply->of.reply.ports;
	c = bpf_map_lookup_elem(&conns, key);
	if (!c || conn_server(c->word) != conn_server(reply->word) || conn_state(c->word) == STATE_GONE)
		return PASS;
	w->answers = true;
	w->service = c->service;
	w->server = conn_server(c->word);
	w->reply = reply->of.reply;
	return FORWARD;
}

/* related says what becomes of an error: it goes to whom its connection's packets do. */
static INLINE enum verdict related(struct work *w)
{
	const struct packet *p = &w->packet;
	struct conn *c = bpf_map_lookup_elem(&conns, &p->key);
	struct server *s;
	__u32 index, state;
	__u64 word;

	if (!c)
		return PASS;
	word = c->word;
	state = conn_state(word);
	if (state == STATE_REPLY)
		return related_answer(w, c);
	if (state == STATE_GONE || overdue(&p->key, c, state, tick()))
		return PASS;
	index = conn_server(word);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	w->method = conn_method(word);
	return deliver(w, s, index, 0);
}

static INLINE __u64 csum_short(__u16 old, __u16 new)
{
	return (__u16)~old + new;
}

/*
 * requote gives the error another destination and what it quotes another source,
 * or the other way round; its checksum and the quoted ones follow.
 */
static INLINE void requote(const struct headers *h, const struct quote *q, bool udp, const struct addr *old,
			   const struct addr *new, __u16 port, bool to_server)
{
	struct headers quoted = { .ip4 = q->ip4, .ip6 = q->ip6 };
	struct addr outer = *old;
	__u16 was, *at = to_server ? &q->l4->source : &q->l4->dest;
	__u32 moved;
	__u64 sum;

	if (!to_server && h->ip4)
		outer.lo = MAPPED(h->ip4->saddr);
	else if (!to_server && h->ip6)
		__builtin_memcpy(&outer, &h->ip6->saddr, 16);
	sum = rewrite_addr(h, &outer, new, to_server);
	if (h->ip4) /* whose checksum has no addresses in it */
		sum = csum_short(q->ip4 ? q->ip4->check : 0, 0);
	moved = rewrite_addr(&quoted, old, new, !to_server);
	if (q->ip4)
		sum += q->ip4->check;
	sum += moved + csum_short(*at, port);
	if (q->check && !(udp && !*q->check)) {
		was = *q->check;
		*q->check = csum_apply(was, (__u64)moved + csum_short(*at, port));
		if (udp && !*q->check)
			*q->check = 0xffff;
		sum += csum_short(was, *q->check);
	}
	*at = port;
	q->icmp->check = csum_apply(q->icmp->check, sum);
}

#endif
