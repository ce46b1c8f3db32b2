/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* home.h - what this machine gets itself, or has sent itself: see own.h. */
#ifndef WEIR_HOME_H
#define WEIR_HOME_H

/* goes_home says whether a packet that is to be forwarded goes to this machine's own client. */
static INLINE bool goes_home(const struct work *w)
{
	return w->answers && (w->reply.back.ifindex & ~WAY_TO_VIP) == WAY_HOME;
}

/* own_mtu is how long what goes to a server may be before it gets an outer header; 0: any. */
static INLINE __u32 own_mtu(const struct server *s, __u32 method)
{
	return s->flags & SERVER_LOCAL ? 0 : s->mtu - outer_bytes(s, method);
}

/* home is the end of an answer's way to this machine's own client. */
static INLINE enum verdict home(const struct headers *h, const struct packet *p, struct sent *sent,
				const struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);

	if (w->reply.back.ifindex & WAY_TO_VIP)
		rewrite_also(h, sent, &p->key.to, &w->reply.vip, true);
	sent->mtu = s ? own_mtu(s, w->method) : 0;
	sent->ifindex = WAY_HOME;
	return HOME;
}

/* own_sent has the server see a source that it can answer to. */
static INLINE void own_sent(const struct headers *h, const struct packet *p, struct sent *sent,
			    const struct server *s, __u32 method)
{
	struct addr *source = own_source(s, &p->key, method);

	sent->mtu = own_mtu(s, method);
	if (source)
		rewrite_also(h, sent, &p->key.from, source, false);
}

/* to_local gives a client's packet to a server behind NAT that is this machine. */
static INLINE enum verdict to_local(const struct headers *h, const struct packet *p, struct sent *sent,
				    const struct server *s, const struct work *w)
{
	if (METHOD_OF(w->method) != METHOD_NAT)
		return PASS;
	sent->new_port = port_at(s, w->method, &p->key);
	rewrite(h, sent, &p->key.to, &s->addr, true);
	count(&service_stats, s->service, w->conns, p->packets, p->bytes);
	count(&server_stats, w->server, w->conns, p->packets, p->bytes);
	return UP;
}

#endif
