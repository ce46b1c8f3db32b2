/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* balance.h - the way of a parsed packet: connection, service, server. */
#ifndef WEIR_BALANCE_H
#define WEIR_BALANCE_H

/* to_server sends a client's packet to its server, and counts it. */
static INLINE enum verdict to_server(const struct headers *h, const struct packet *p,
				     struct sent *sent, const struct server *s, __u32 index,
				     __u32 conns)
{
	enum verdict v = s->method == METHOD_NAT ? nat(h, p, sent, s) : direct(h, sent, s);

	if (v == FORWARD) {
		count(&service_stats, s->service, conns, p->packets, p->bytes);
		count(&server_stats, index, conns, p->packets, p->bytes);
	}
	return v;
}

/* to_client sends a server's packet to its client, and counts it. */
static INLINE enum verdict to_client(const struct headers *h, const struct packet *p,
				     struct sent *sent, const struct addr *vip,
				     const struct way *back, __u32 service, __u32 index)
{
	enum verdict v = nat_back(h, p, sent, vip, back);

	if (v == FORWARD) {
		count_out(&service_stats, service, p->packets, p->bytes);
		count_out(&server_stats, index, p->packets, p->bytes);
	}
	return v;
}

/* deliver says what becomes of a packet whose server is known. */
static INLINE enum verdict deliver(struct work *w, const struct server *s, __u32 index, __u32 conns)
{
	const struct packet *p = &w->packet;

	if (s->flags & SERVER_LOCAL) {
		count(&service_stats, s->service, conns, p->packets, p->bytes);
		count(&server_stats, index, conns, p->packets, p->bytes);
		return PASS;
	}
	if (from_director(p))
		return pass(PASS_FROM_DIRECTOR);
	w->answers = false;
	w->server = index;
	w->conns = conns;
	return FORWARD;
}

static INLINE struct service *service_of(const struct packet *p)
{
	struct service_key key = {
		.vip = p->key.to,
		.port = p->key.ports >> 16,
		.protocol = p->protocol,
	};
	struct service *by_mark = service_by_mark(p);

	if (by_mark)
		return by_mark;
	return bpf_map_lookup_elem(&services, &key);
}

/* open gives a new flow its server, if it is a service's and ours to give. */
static NOINLINE enum verdict open(struct work *w, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct service *svc = service_of(p);
	struct server *s;
	__u32 index;

	if (!svc)
		return PASS;
	if (!may_serve(svc, p))
		return pass(PASS_PASSIVE);
	if (p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return pass(PASS_NO_CONNECTION);
	if (from_director(p))
		return pass(PASS_FROM_DIRECTOR);
	index = schedule(svc, p);
	if (index == NO_SERVER)
		return drop(DROP_NO_SERVER);
	index = conn_remember(w, old, word, svc->index, index);
	if (index == NO_SERVER)
		return drop(DROP_EXPIRING);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	if (s->method == METHOD_NAT && !(s->flags & SERVER_LOCAL) &&
	    !reply_remember(w, s, index, svc->index)) {
		struct conn *c = bpf_map_lookup_elem(&conns, &p->key);

		if (c)
			conn_drop(p, c, c->word);
		return drop(DROP_COLLISION);
	}
	return deliver(w, s, index, 1);
}

/*
 * reopen is for a SYN that meets a connection. While the lease runs it goes on
 * with it, as in the kernel. Once the lease has run out it is the start of
 * something new, which belongs to the director that is master now: the entry
 * goes, so that the packets after it pass, too.
 */
static NOINLINE bool reopen(struct packet *p, struct conn *c, __u64 word)
{
	struct service *svc = service_of(p);

	if (!svc || may_serve(svc, p))
		return true;
	conn_drop(p, c, word);
	return false;
}

/*
 * orphaned is for what belongs to a connection whose server has left: it is
 * silent. Without any service the kernel's hooks are gone, and the local stack
 * answers.
 */
static NOINLINE enum verdict orphaned(void)
{
	__u32 zero = 0, *n = bpf_map_lookup_elem(&service_count, &zero);

	return n && *n == 0 ? pass(PASS_NO_SERVICE) : drop(DROP_SERVER_REMOVED);
}

/*
 * full takes a packet the full way: by its connection, or to a new one. It is
 * global, which has it verified once and by itself.
 */
__noinline int full(void)
{
	struct work *w = work_of();
	__u32 now, state, index;
	struct packet *p;
	struct server *s;
	struct conn *c;
	__u64 word;

	if (!w)
		return PASS;
	p = &w->packet;
	c = bpf_map_lookup_elem(&conns, &p->key);
	if (!c)
		return open(w, NULL, 0);
	word = c->word;
	state = conn_state(word);
	index = conn_server(word);
	if (state == STATE_REPLY)
		return answer(w, c);
	if (state == STATE_GONE)
		return drop(DROP_EXPIRING);
	now = tick();
	if (overdue(c, state, now))
		return open(w, c, word);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (p->tcp_flags & TCP_SYN) {
		/*
		 * What is open with a server that has left is silent, as in the
		 * kernel; a SYN is a client that tries anew.
		 */
		if (ended(state) || !(s->flags & SERVER_PRESENT))
			return open(w, c, word);
		if (!reopen(p, c, word))
			return pass(PASS_PASSIVE);
	}
	if (!(s->flags & SERVER_PRESENT))
		return orphaned();
	if (s->method == METHOD_NAT) {
		if (c->stamp != now)
			reply_refresh(w, c, s);
		conn_advance(&p->key, c, word, p, now, INPUT);
	} else {
		conn_advance(&p->key, c, word, p, now, ONLY);
	}
	flow_keep(p, c, NULL, now);
	return deliver(w, s, index, 0);
}

#define AT_HAND (SERVER_PRESENT | SERVER_RESOLVED)

/*
 * known takes a packet the short way: its flow is established and has a line in
 * the cache, and it changes no state. It says what became of it; false: none of
 * that.
 */
static INLINE bool known(const struct headers *h, const struct packet *p, struct sent *sent,
			 enum verdict *v)
{
	struct flow_line *l;
	struct server *s;
	struct addr *vip;

	if (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return false;
	l = flow_find(&p->key);
	if (!l)
		return false;
	s = bpf_map_lookup_elem(&servers, &l->server);
	if (!s || (s->flags & (AT_HAND | SERVER_LOCAL)) != AT_HAND)
		return false;
	if (l->answers) {
		vip = bpf_map_lookup_elem(&service_vips, &s->service);
		if (!vip || !same_addr(&s->addr, &p->key.from))
			return false;
		sent->new_port = l->way.out.vport;
		*v = to_client(h, p, sent, vip, &l->way.out.back, s->service, l->server);
		return true;
	}
	if (l->way.in.sender != p->sender)
		return false;
	*v = to_server(h, p, sent, s, l->server, 0);
	return true;
}

static INLINE enum verdict balance(const struct headers *h, const struct packet *p,
				   struct sent *sent)
{
	struct server *s;
	struct work *w;
	enum verdict v;

	if (known(h, p, sent, &v))
		return v;
	w = work_of();
	if (!w)
		return PASS;
	w->packet = *p;
	__builtin_memcpy(w->came.dst, h->eth->h_source, 6);
	__builtin_memcpy(w->came.src, h->eth->h_dest, 6);
	w->came.ifindex = p->ifindex;
	v = full();
	if (v != FORWARD)
		return v;
	if (w->answers) {
		sent->new_port = w->vport;
		return to_client(h, p, sent, &w->vip, &w->back, w->service, w->server);
	}
	s = bpf_map_lookup_elem(&servers, &w->server);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	return to_server(h, p, sent, s, w->server, w->conns);
}

#endif
