/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* balance.h - the way of a parsed packet: connection, service, server. */
#ifndef WEIR_BALANCE_H
#define WEIR_BALANCE_H

/* deliver sends the packet to its server, and counts it there. */
static INLINE enum verdict deliver(struct packet *p, struct frame *f, __u32 service, __u32 index,
				   const struct server *s, __u32 conns)
{
	enum verdict v = PASS;

	if (!(s->flags & SERVER_LOCAL)) {
		if (from_director(p))
			return pass(PASS_FROM_DIRECTOR);
		v = s->method == METHOD_NAT ? nat(p, f, s) : direct(p, s);
		if (v != FORWARD)
			return v;
		f->ifindex = s->ifindex;
	}
	count(&service_stats, service, conns, f->packets, f->bytes);
	count(&server_stats, index, conns, f->packets, f->bytes);
	return v;
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
static NOINLINE enum verdict open(struct packet *p, struct frame *f, struct conn *old, __u64 word)
{
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
	index = conn_remember(p, old, word, svc->index, index, tick());
	if (index == NO_SERVER)
		return drop(DROP_EXPIRING);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	if (s->method == METHOD_NAT && !(s->flags & SERVER_LOCAL) &&
	    !nat_remember(p, f, s, index, svc->index)) {
		struct conn *c = bpf_map_lookup_elem(&conns, &p->key);

		if (c)
			conn_drop(p, c, c->word);
		return drop(DROP_COLLISION);
	}
	return deliver(p, f, svc->index, index, s, 1);
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

static INLINE enum verdict balance(struct packet *p, struct frame *f)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &p->key);
	__u32 now, state, index;
	struct server *s;
	__u64 word;

	if (!c)
		return open(p, f, NULL, 0);
	word = c->word;
	state = conn_state(word);
	index = conn_server(word);
	if (state == STATE_REPLY)
		return answer(p, f, c);
	if (state == STATE_GONE)
		return drop(DROP_EXPIRING);
	now = tick();
	if (overdue(c, state, now))
		return open(p, f, c, word);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (p->tcp_flags & TCP_SYN) {
		/*
		 * What is open with a server that has left is silent, as in the
		 * kernel; a SYN is a client that tries anew.
		 */
		if (ended(state) || !(s->flags & SERVER_PRESENT))
			return open(p, f, c, word);
		if (!reopen(p, c, word))
			return pass(PASS_PASSIVE);
	}
	if (!(s->flags & SERVER_PRESENT))
		return orphaned();
	if (s->method == METHOD_NAT) {
		if (c->stamp != now)
			nat_refresh(p, f, s);
		conn_advance(c, word, p, now, INPUT);
	} else {
		conn_advance(c, word, p, now, ONLY);
	}
	return deliver(p, f, c->service, index, s, 0);
}

#endif
