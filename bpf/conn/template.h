/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * template.h - the templates of persistent services: all clients of a network stay
 * with one server (ip_vs_sched_persist, net/netfilter/ipvs/ip_vs_core.c). Each new
 * connection restarts a template's time-out, and a template does not expire while it
 * has connections.
 */
#ifndef WEIR_CONN_TEMPLATE_H
#define WEIR_CONN_TEMPLATE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/template_expiry.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* FTP's control port: its data connections follow the control connection's template. */
#define FTP_PORT 21

/*
 * template_key_of sets w->template to the key of the template that the packet's client
 * uses: of the firewall mark, of the service's port, or of all ports of the address.
 */
static INLINE void template_key_of(struct work *w, const struct service *svc)
{
	const struct packet *p = &w->packet;
	struct template_key *k = &w->template;

	__builtin_memset(k, 0, sizeof(*k));
	k->client.hi = p->key.from.hi & svc->netmask.hi;
	k->client.lo = p->key.from.lo & svc->netmask.lo;
	if (svc->flags & SERVICE_BY_MARK) {
		k->mark = svc->mark;
		k->vip.lo = p->ip6 ? 0 : MAPPED(0);
		return;
	}
	k->vip = p->key.to;
	k->protocol = p->protocol;
	if (!(svc->flags & SERVICE_ANY_PORT) && ports_destination(p->key.ports) != bpf_htons(FTP_PORT))
		k->port = ports_destination(p->key.ports);
}

/*
 * A template that has connections when its time-out runs out gets so many ticks more
 * (ip_vs_conn_expire, net/netfilter/ipvs/ip_vs_conn.c).
 */
#define TEMPLATE_AGAIN ((60ULL * 1000000000) >> TICK_SHIFT)

/*
 * template_expired says whether the template's time-out has run out. It prolongs a
 * template that has connections.
 */
static INLINE bool template_expired(struct template *t, __u32 now)
{
	if ((__s32)(now - t->stamp) <= (__s32)t->timeout)
		return false;
	if (t->controls <= 0)
		return true;
	t->stamp += t->timeout;
	t->timeout = TEMPLATE_AGAIN;
	return false;
}

/*
 * template_usable says whether a client may still use the template
 * (ip_vs_check_template, net/netfilter/ipvs/ip_vs_conn.c).
 */
static INLINE bool template_usable(const struct template *t, const struct service *svc)
{
	__u32 index = t->server;
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	struct load *l = bpf_map_lookup_elem(&loads, &index);

	if (t->expiry & TEMPLATE_INVALID || !s || !l || !(s->flags & SERVER_PRESENT))
		return false;
	return l->weight || !(svc->flags & SERVICE_EXPIRE_QUIESCENT);
}

/* template_count adds n to the number of a server's templates. */
static INLINE void template_count(__u32 server, int n)
{
	struct load *l = bpf_map_lookup_elem(&loads, &server);

	if (l)
		__sync_fetch_and_add(&l->persistent, n);
}

/*
 * template_set_server gives the template to another server, or marks it by
 * TEMPLATE_EXPIRED or TEMPLATE_DELETING. Of two CPUs one wins; it counts, and gets true.
 */
static INLINE bool template_set_server(struct template *t, __u32 from, __u32 to)
{
	if (from == TEMPLATE_DELETING || __sync_val_compare_and_swap(&t->server, from, to) != from)
		return false;
	template_count(from, -1);
	template_count(to, 1);
	return true;
}

/* What template_find has found. */
struct template_search {
	struct template *at; /* the template at w->template.place, or NULL */
	bool good;           /* the client uses it; false: it gets another server */
};

/*
 * template_find looks for the template of the packet's client, and leaves w->template at
 * its place. As in the kernel, a template whose server has left is never used again,
 * even if the server returns; but it counts as that server's until it expires, and so do
 * its connections. The client's next template stands at another place.
 */
static INLINE struct template_search template_find(struct work *w, const struct service *svc, __u32 now)
{
	struct template_search found = {};
	__u32 free = 0;

	template_key_of(w, svc);
	for (__u32 place = 1; place <= TEMPLATE_PLACES; place++) {
		struct template *t;

		w->template.place = place;
		t = bpf_map_lookup_elem(&templates, &w->template);
		if (!t && !free)
			return found;
		if (!t)
			break;
		if (template_expired(t, now)) {
			free = free ? free : place;
			continue;
		}
		if (template_usable(t, svc)) {
			found.at = t;
			found.good = true;
			return found;
		}
		__sync_fetch_and_or(&t->expiry, TEMPLATE_INVALID);
	}
	if (free)
		w->template.place = free;
	found.at = bpf_map_lookup_elem(&templates, &w->template);
	return found;
}

/*
 * template_assign makes the template, or gives an old one to this server. It returns the
 * template's server, which is another one where another CPU was faster. Without room for
 * the template it counts NOTE_TABLE_FULL, and the connection is served without one. It is
 * a global function, so that it is verified once. Persist is the service's time-out in ticks.
 */
__noinline __u32 template_assign(struct template *t, __u32 server, __u32 persist, __u32 now)
{
	struct template *draft;
	struct work *w = work_of();
	__u32 place;

	if (!w)
		return server;
	draft = &w->template_draft;
	if (t) {
		t->stamp = now;
		t->timeout = persist;
		__sync_fetch_and_and(&t->expiry, ~TEMPLATE_INVALID);
		if (template_set_server(t, t->server, server))
			template_entry_reuse(t, server, now + persist + 1);
		return server;
	}
	place = template_entry_take(&w->template, server, now + persist + 1);
	draft->server = server;
	draft->expiry = place << TEMPLATE_PLACE_SHIFT;
	draft->stamp = now;
	draft->timeout = persist;
	draft->controls = 0;
	if (!bpf_map_update_elem(&templates, &w->template, draft, BPF_NOEXIST)) {
		template_count(server, 1);
		return server;
	}
	template_entry_release(place);
	t = bpf_map_lookup_elem(&templates, &w->template);
	if (t)
		return t->server; /* another CPU was faster */
	note(NOTE_TABLE_FULL);
	return server;
}

/*
 * template_count_conn adds n to the number of the template's connections. A key without
 * a place is no template's.
 */
static INLINE void template_count_conn(const struct template_key *key, int n)
{
	struct template *t;

	if (!key->place)
		return;
	t = bpf_map_lookup_elem(&templates, key);
	if (t)
		__sync_fetch_and_add(&t->controls, n);
}

/* template_has_next says whether the client has a template at the next place. */
static INLINE bool template_has_next(const struct template_key *key)
{
	struct template_key next = *key;

	next.place++;
	return bpf_map_lookup_elem(&templates, &next);
}

#endif
