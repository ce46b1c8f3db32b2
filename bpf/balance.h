/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* balance.h - the way of a parsed packet: connection, service, server. */
#ifndef WEIR_BALANCE_H
#define WEIR_BALANCE_H

/*
 * mtu_told is what the client is told of the way's MTU: this machine's own somewhat less,
 * since IPv6 takes in no MTU of the way to an address of its own that is not below that of
 * the address's device (rt6_insert_exception, net/ipv6/route.c).
 */
static INLINE __u32 mtu_told(const struct headers *h, const struct packet *p, __u32 mtu)
{
	return p->own && h->ip6 && mtu >= 1280 + 8 ? mtu - 8 : mtu;
}

/*
 * too_big is for a packet that does not fit on the way to its server. One that may be
 * cut is not: here nobody cuts, but this machine itself, which is told.
 */
static INLINE enum verdict too_big(const struct headers *h, const struct packet *p, struct sent *sent,
				   const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	note(DROP_TOO_BIG);
	sent->mtu = mtu_told(h, p, s->mtu - outer_bytes(s, method));
	return h->ip4 && !p->own && !(h->ip4->frag_off & bpf_htons(IP_DF)) ? DROP : TOO_BIG;
}

/* to_server sends a client's packet to its server, and counts it. */
static INLINE enum verdict to_server(const struct headers *h, const struct packet *p,
				     struct sent *sent, const struct server *s, __u32 index,
				     __u32 method, __u32 conns)
{
	enum verdict v;

	if (p->bytes + outer_bytes(s, method) > s->mtu && p->packets == 1)
		return too_big(h, p, sent, s, method);
	switch (METHOD_OF(method)) {
	case METHOD_NAT:
		v = nat(h, p, sent, s, method);
		break;
	case METHOD_TUN:
		v = tunnel(h, p, sent, s);
		break;
	default:
		v = direct(h, sent, s);
	}
	if (v == FORWARD) {
		count(&service_stats, s->service, conns, p->packets, p->bytes);
		count(&server_stats, index, conns, p->packets, p->bytes);
	}
	return v;
}

/*
 * count_begun counts the connection that a packet began, if it did, and not the packet:
 * that is decided of once more, and then finds its entry.
 */
static INLINE void count_begun(const struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);

	if (!s || !bpf_map_lookup_elem(&conns, &w->packet.key))
		return;
	count(&service_stats, s->service, w->conns, 0, 0);
	count(&server_stats, w->server, w->conns, 0, 0);
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

	if (stays(s, w->method)) {
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

/*
 * service_of is the service of a new flow's packet: by its mark, by address and
 * port, or by address (ip_vs_service_find, net/netfilter/ipvs/ip_vs_ctl.c).
 */
static NOINLINE struct service *service_of(const struct packet *p)
{
	struct service_key key = {
		.vip = p->key.to,
		.port = p->key.ports >> 16,
		.protocol = p->protocol,
	};
	struct service_count *n = service_count_of();
	struct service *svc = NULL;

	if (!n)
		return NULL;
	if (n->by_mark)
		svc = service_by_mark(p);
	if (!svc)
		svc = bpf_map_lookup_elem(&services, &key);
	if (!svc && n->any_port) {
		key.port = 0;
		svc = bpf_map_lookup_elem(&services, &key);
	}
	return svc;
}

/* may_begin says whether this packet may begin a connection. */
static INLINE bool may_begin(const struct packet *p, const struct service *svc)
{
	if (p->protocol != IPPROTO_TCP)
		return true;
	return !(p->tcp_flags & TCP_RST) && (p->tcp_flags & TCP_SYN || svc->flags & SERVICE_SLOPPY);
}

/*
 * server_for is a new connection's server. While the table lacks room, by direct
 * routing and tunnels it is one that the flow's packets find without an entry.
 */
static INLINE __u32 server_for(struct work *w, const struct service *svc)
{
	__u32 index = NO_SERVER;

	if (svc->persist)
		return persistent(w, svc);
	if (room_lacked(STATE_SYN_RECV, tick()))
		index = server_without_entry(w, svc);
	return index == NO_SERVER ? schedule(svc, &w->packet) : index;
}

/*
 * stray is for a packet that begins nothing and has no entry. Where there was no
 * room for it, it may still have a server, and an entry again as a half-open one.
 */
static INLINE enum verdict stray(struct work *w, const struct service *svc, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct server *s;
	__u32 index;

	if (!room_lacked(STATE_ESTABLISHED, tick()))
		return pass(PASS_NO_CONNECTION);
	index = server_without_entry(w, svc);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return pass(PASS_NO_CONNECTION);
	w->method = method_of(s, p);
	if (!(p->tcp_flags & (TCP_RST | TCP_FIN)))
		conn_remember(w, old, word, index, STATE_SYN_RECV);
	note(NOTE_BY_HASH);
	return deliver(w, s, index, 0);
}

/*
 * remembered enters a new connection; word is the entry's that is over, and then
 * the one that it has now. It says why it cannot, which only NAT cannot do without.
 */
static INLINE enum reason remembered(struct work *w, const struct service *svc, struct conn *old,
				     __u64 *word, __u32 *index)
{
	__u32 state = conn_begins(&w->packet);
	bool nat = METHOD_OF(w->method) == METHOD_NAT;
	__u64 fresh = conn_remember(w, old, *word, *index, state);
	__u32 other;

	if (!fresh && nat && room_made(w))
		fresh = conn_remember(w, old, *word, *index, state);
	if (!fresh && nat)
		return DROP_TABLE_FULL;
	if (!fresh) {
		other = server_without_entry(w, svc);
		*index = other == NO_SERVER ? *index : other;
		return REASON_NONE;
	}
	*word = fresh;
	*index = conn_server(fresh);
	w->method = conn_method(fresh);
	return conn_state(fresh) == STATE_GONE ? DROP_EXPIRING : REASON_NONE;
}

/* open gives a new flow its server, if it is a service's and ours to give. */
static INLINE enum verdict open(struct work *w, struct conn *old, __u64 word)
{
	struct packet *p = &w->packet;
	struct service *svc = service_of(p);
	enum reason why;
	struct server *s;
	bool one_packet;
	__u32 index;

	if (!svc)
		return PASS;
	if (!may_serve(svc, p))
		return pass(PASS_PASSIVE);
	if (from_director(p))
		return pass(PASS_FROM_DIRECTOR);
	w->service = svc->index;
	w->template.place = 0;
	if (!may_begin(p, svc))
		return stray(w, svc, old, word);
	index = server_for(w, svc);
	if (index == NO_SERVER) {
		note(DROP_NO_SERVER);
		return REFUSE;
	}
	one_packet = svc->flags & SERVICE_ONE_PACKET && p->protocol == IPPROTO_UDP;
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	w->method = method_of(s, p);
	if (one_packet)
		return deliver(w, s, index, 1);
	why = remembered(w, svc, old, &word, &index);
	if (why)
		return drop(why);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	if (answered(s, w->method)) {
		why = reply_remember(w, s, index);
		if (why) {
			struct conn *c = bpf_map_lookup_elem(&conns, &p->key);

			if (c)
				conn_drop(&p->key, c, c->word);
			return drop(why);
		}
	}
	return deliver(w, s, index, 1);
}

/* What becomes of a SYN that meets a connection. */
enum meeting {
	GO_ON,   /* with it */
	ANEW,    /* over it */
	NOT_OURS,
};

/*
 * meet is for a SYN that meets a connection (ip_vs_in, ip_vs_core.c). While the
 * lease runs it goes on with it, or begins anew where that has ended, unless it
 * came by a template. Once the lease has run out it is the start of something
 * that belongs to the director that is master now: the entry goes, so that the
 * packets after it pass, too. What is open with a server that has left is
 * silent; its SYN is a client that tries anew.
 */
static NOINLINE enum meeting meet(struct work *w, struct conn *c, const struct server *s)
{
	struct packet *p = &w->packet;
	__u64 word = c->word;
	__u32 state = conn_state(word), index = conn_server(word);
	struct service *svc = service_of(p);
	struct load *l = bpf_map_lookup_elem(&loads, &index);

	if (svc && !may_serve(svc, p)) {
		conn_drop(&p->key, c, word);
		return NOT_OURS;
	}
	if (!(s->flags & SERVER_PRESENT))
		return ANEW;
	if (!svc)
		return GO_ON;
	if (svc->flags & SERVICE_EXPIRE_NODEST && l && !l->weight)
		return ANEW;
	if (svc->flags & SERVICE_KEEP_REUSED || c->of.template.place)
		return GO_ON;
	if (state == STATE_FIN_WAIT && svc->flags & SERVICE_REUSE_FIN_WAIT && !conn_nat(word))
		return ANEW;
	return ended(state) ? ANEW : GO_ON;
}

/* The last service has gone: the kernel's hooks are, too, and the local stack answers. */
static INLINE bool no_service_left(void)
{
	struct service_count *n = service_count_of();

	return n && n->all == 0;
}

/*
 * let_go is for what belongs to a connection whose server has left. It is
 * silent, unless the service lets it go: then the connection ends, and the packet
 * begins anew (UDP) or is reset by the local stack (TCP).
 */
static INLINE bool let_go(struct work *w, struct conn *c, __u64 word)
{
	struct service *svc = service_of(&w->packet);

	if (!svc || !(svc->flags & SERVICE_EXPIRE_NODEST))
		return false;
	conn_drop(&w->packet.key, c, word);
	return true;
}

/* route takes a packet the full way: by its connection, or to a new one. */
static INLINE enum verdict route(struct work *w)
{
	struct packet *p = &w->packet;
	__u32 now, state, index;
	struct server *s;
	struct conn *c;
	__u64 word;

	c = bpf_map_lookup_elem(&conns, &p->key);
	if (!c)
		goto begin;
	word = c->word;
	state = conn_state(word);
	index = conn_server(word);
	if (state == STATE_REPLY)
		return answer(w, c);
	if (state == STATE_GONE)
		return drop(DROP_EXPIRING);
	now = tick();
	if (overdue(&p->key, c, state, now))
		goto over;
	if (p->own != !!(conn_method(word) & METHOD_OWN))
		return PASS; /* somebody else under its client's name */
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (p->tcp_flags & TCP_SYN) {
		switch (meet(w, c, s)) {
		case ANEW:
			goto over;
		case NOT_OURS:
			return pass(PASS_PASSIVE);
		default:
			break;
		}
	}
	if (!(s->flags & SERVER_PRESENT)) {
		if (let_go(w, c, word))
			goto begin;
		return no_service_left() ? pass(PASS_NO_SERVICE) : drop(DROP_SERVER_REMOVED);
	}
	w->method = conn_method(word);
	if (conn_nat(word)) {
		reply_refresh(w, c, s);
		conn_advance(&p->key, c, word, p, now, INPUT);
	} else {
		conn_advance(&p->key, c, word, p, now, ONLY);
	}
	flow_keep(w, c, NULL, now);
	return deliver(w, s, index, 0);
begin:
	c = NULL;
	word = 0;
over:
	return open(w, c, word);
}

/* full is route as a global function, which has it verified once and by itself. */
__noinline int full(void)
{
	struct work *w = work_of();
	enum verdict v;

	if (!w)
		return PASS;
	w->victim.word = 0;
	v = route(w);
	if (w->victim.word)
		half_open_end(w);
	return v;
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
	*v = to_server(h, p, sent, s, l->server, l->method, 0);
	return true;
}

/* came_by notes the way back to where the packet came from. */
static INLINE void came_by(struct work *w, const struct headers *h)
{
	__builtin_memcpy(w->came.dst, h->eth->h_source, 6);
	__builtin_memcpy(w->came.src, h->eth->h_dest, 6);
	w->came.ifindex = w->packet.ifindex;
}

/* send_on sends a packet that has been the full way where that led. */
static INLINE enum verdict send_on(const struct headers *h, const struct packet *p, struct sent *sent,
				   struct work *w)
{
	struct server *s;
	enum verdict v;

	if (w->answers) {
		sent->new_port = w->reply.ports >> 16;
		v = to_client(h, p, sent, &w->reply.vip, &w->reply.back, w->service, w->server);
		return v == FORWARD && goes_home(w) ? home(h, p, sent, w) : v;
	}
	s = bpf_map_lookup_elem(&servers, &w->server);
	if (!s)
		return drop(DROP_SERVER_REMOVED);
	if (s->flags & SERVER_LOCAL)
		return to_local(h, p, sent, s, w);
	v = to_server(h, p, sent, s, w->server, w->method, w->conns);
	if (v == FORWARD && p->own)
		own_sent(h, p, sent, s, w->method);
	return v;
}

/* balance is the way of a packet; at XDP those to this machine's own clients are left to tc. */
static INLINE enum verdict balance(const struct headers *h, const struct packet *p,
				   struct sent *sent, bool xdp)
{
	struct work *w;
	enum verdict v;

	if (known(h, p, sent, &v))
		return v;
	w = work_of();
	if (!w)
		return PASS;
	w->packet = *p;
	came_by(w, h);
	v = full();
	if (v != FORWARD)
		return v;
	return xdp && goes_home(w) ? PASS : send_on(h, p, sent, w);
}

#endif
