/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* balance.h - the way of a parsed packet: connection, service, server. */
#ifndef WEIR_BALANCE_H
#define WEIR_BALANCE_H

/* What the place where the packet was met knows of it. */
struct frame {
	__u32 packets; /* 1, or the segments of a GSO packet */
	__u32 bytes;
	__u32 ifindex; /* out: where a forwarded packet leaves */
};

/* deliver sends the packet to its server, and counts it there. */
static INLINE enum verdict deliver(struct packet *p, struct frame *f, __u32 service, __u32 index,
				   __u32 conns)
{
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	enum verdict v = PASS;

	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	if (!(s->flags & SERVER_LOCAL)) {
		if (from_director(p))
			return pass(PASS_FROM_DIRECTOR);
		v = direct(p, s);
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
		.vip = p->key.vip,
		.port = p->key.ports >> 16,
		.protocol = p->protocol,
	};

	return bpf_map_lookup_elem(&services, &key);
}

/* open gives a new flow its server, if it is a service's and ours to give. */
static NOINLINE enum verdict open(struct packet *p, struct frame *f, struct conn *old, __u64 word)
{
	struct service *svc = service_of(p);
	__u32 server;

	if (!svc)
		return PASS;
	if (!lease_runs(svc->lease))
		return pass(PASS_PASSIVE);
	if (p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
		return pass(PASS_NO_CONNECTION);
	if (from_director(p))
		return pass(PASS_FROM_DIRECTOR);
	server = schedule(svc);
	if (server == NO_SERVER)
		return drop(DROP_NO_SERVER);
	server = conn_remember(p, old, word, svc->index, server, tick());
	if (server == NO_SERVER)
		return drop(DROP_EXPIRING);
	return deliver(p, f, svc->index, server, 1);
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

	if (!svc || lease_runs(svc->lease))
		return true;
	conn_drop(p, c, word);
	return false;
}

/*
 * orphaned says whether a connection's server has left its service. What is
 * open then is silent, as in the kernel; a SYN is a client that tries anew.
 */
static INLINE bool orphaned(__u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	return s && !(s->flags & SERVER_PRESENT);
}

static INLINE enum verdict balance(struct packet *p, struct frame *f)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &p->key);
	__u32 now, state;
	__u64 word;

	if (!c)
		return open(p, f, NULL, 0);
	word = c->word;
	state = conn_state(word);
	now = tick();
	if (state == STATE_GONE)
		return drop(DROP_EXPIRING);
	if (overdue(c, state, now))
		return open(p, f, c, word);
	if (p->tcp_flags & TCP_SYN) {
		if (ended(state) || orphaned(word))
			return open(p, f, c, word);
		if (!reopen(p, c, word))
			return pass(PASS_PASSIVE);
	}
	conn_advance(c, word, p, now);
	return deliver(p, f, c->service, conn_server(word), 0);
}

#endif
