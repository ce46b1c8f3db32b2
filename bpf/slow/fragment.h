/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fragment.h - the first fragment of a packet has the ports: it takes the full path,
 * and leaves in a table what the other fragments need. A fragment that comes before the
 * first is held until that comes, and is then sent behind it. Only tc can hold one: at
 * XDP a program can send nothing but the packet that it was called with.
 */
#ifndef WEIR_SLOW_FRAGMENT_H
#define WEIR_SLOW_FRAGMENT_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "balance/deliver.h"
#include "conn/index.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "service/addr_filter.h"
#include "service/director.h"
#include "service/firewall_mark.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * How long the fragments of a packet belong together (RFC 8200 section 4.5;
 * IPV4_FRAG_TIME, IP_FRAG_TIME in Linux).
 */
#define FRAGMENTS4_TICKS ((30ULL * 1000000000) >> TICK_SHIFT)
#define FRAGMENTS6_TICKS ((60ULL * 1000000000) >> TICK_SHIFT)

/* fragment_expired says whether a fragment entry is too old for this packet. */
static INLINE bool fragment_expired(const struct fragment *f, const struct packet *p, __u32 now)
{
	return (__s32)(now - f->stamp) > (__s32)(p->ip6 ? FRAGMENTS6_TICKS : FRAGMENTS4_TICKS);
}

/* fragment_of is the entry of the packet that this is a fragment of, or NULL. */
static INLINE struct fragment *fragment_of(const struct work *w)
{
	struct fragment *f = bpf_map_lookup_elem(&fragments, &w->slow.fragment);

	return f && !fragment_expired(f, &w->packet, tick()) ? f : NULL;
}

/* fragment_has_waiting says whether other fragments are held until this first one comes. */
static INLINE bool fragment_has_waiting(const struct work *w)
{
	struct fragment *f = fragment_of(w);

	return f && f->word && f->word != FRAGMENT_KNOWN;
}

/*
 * fragment_fate_of is what becomes of the other fragments when the first one has this
 * verdict.
 */
static INLINE enum fragment_fate fragment_fate_of(const struct work *w, enum verdict v)
{
	if (v == FORWARD)
		return w->to_client ? FRAGMENT_TO_CLIENT : FRAGMENT_TO_SERVER;
	return v == PASS ? FRAGMENT_PASSES : FRAGMENT_DROPPED;
}

/*
 * fragment_pass_translated lets the other fragments pass where the packet's server
 * behind NAT is this machine: after their translation at XDP, tc sees them once more.
 */
static INLINE void fragment_pass_translated(struct work *w)
{
	struct fragment *draft = &w->fragment_draft;
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);
	__u8 fate = draft->fate;

	if (!s || !(s->flags & SERVER_LOCAL) || METHOD_OF(w->method) != METHOD_NAT ||
	    same_addr(&s->addr, &w->slow.fragment.to))
		return;
	w->slow.fragment.to = s->addr;
	draft->fate = FRAGMENT_PASSES;
	bpf_map_update_elem(&fragments, &w->slow.fragment, draft, BPF_ANY);
	w->slow.fragment.to = w->packet.key.to;
	draft->fate = fate;
}

/*
 * fragment_settle records what becomes of the first fragment. It returns the turn of the
 * last fragment that waits for it, or 0. Without release the held fragments go on
 * waiting: at XDP only the packet at hand can be sent.
 */
static NOINLINE __u64 fragment_settle(struct work *w, enum verdict v, bool release)
{
	struct fragment *draft = &w->fragment_draft, *f;
	__u64 waited, word;
	bool over;

	draft->word = FRAGMENT_KNOWN;
	draft->stamp = tick();
	draft->server = w->server;
	draft->service = w->service;
	draft->method = w->method;
	draft->fate = fragment_fate_of(w, v);
	draft->reply = w->reply;
	if (v == FORWARD && !w->to_client)
		fragment_pass_translated(w);
	f = bpf_map_lookup_elem(&fragments, &w->slow.fragment);
	if (!f && !bpf_map_update_elem(&fragments, &w->slow.fragment, draft, BPF_NOEXIST))
		return 0;
	if (!f)
		f = bpf_map_lookup_elem(&fragments, &w->slow.fragment);
	if (!f)
		return 0;
	over = fragment_expired(f, &w->packet, draft->stamp);
	f->stamp = draft->stamp;
	f->server = draft->server;
	f->service = draft->service;
	f->method = draft->method;
	f->fate = draft->fate;
	f->reply = draft->reply;
	word = over ? *(volatile __u64 *)&f->word : 0;
	waited = release ? __sync_lock_test_and_set(&f->word, FRAGMENT_KNOWN)
			 : __sync_val_compare_and_swap(&f->word, word, FRAGMENT_KNOWN);
	return over || waited == FRAGMENT_KNOWN ? 0 : waited;
}

/*
 * fragment_wanted says whether a fragment that comes before its first may be for a
 * service, or from a server behind NAT or to a local client: only those are held. One
 * whose address only shares a byte with theirs is held as well, and passes with its first.
 */
static INLINE bool fragment_wanted(const struct work *w)
{
	const struct flow_key *k = &w->packet.key;

	if (!addrs_pass_by(k))
		return true;
	return service_counts.by_mark && mark_list_of(k);
}

/*
 * route_fragment is the verdict on a fragment that is not the first: it follows that
 * one, or HOLD where the first has not come.
 */
static INLINE enum verdict route_fragment(struct work *w)
{
	struct fragment *f = fragment_of(w);
	struct server *s;
	__u32 index;

	if (from_director(w->origin, w->last_hop))
		return pass(PASS_FROM_DIRECTOR);
	if (!f || f->word != FRAGMENT_KNOWN)
		return fragment_wanted(w) ? HOLD : PASS;
	index = f->server;
	switch (f->fate) {
	case FRAGMENT_PASSES:
		return PASS;
	case FRAGMENT_DROPPED:
		return drop(DROP_FRAGMENT);
	case FRAGMENT_TO_CLIENT:
		w->to_client = true;
		w->service = f->service;
		w->server = index;
		w->reply = f->reply;
		return FORWARD;
	}
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !(s->flags & SERVER_PRESENT))
		return drop(DROP_SERVER_REMOVED);
	w->method = f->method;
	return deliver(w, s, index, 0);
}

/*
 * fragment_waiting is the entry for a fragment that has to wait, or NULL where there is
 * no room.
 */
static INLINE struct fragment *fragment_waiting(struct work *w)
{
	struct fragment *draft = &w->fragment_draft, *f;
	__u32 now = tick();

	f = bpf_map_lookup_elem(&fragments, &w->slow.fragment);
	if (!f) {
		__builtin_memset(draft, 0, sizeof(*draft));
		draft->stamp = now;
		bpf_map_update_elem(&fragments, &w->slow.fragment, draft, BPF_NOEXIST);
		return bpf_map_lookup_elem(&fragments, &w->slow.fragment);
	}
	if (fragment_expired(f, &w->packet, now)) {
		f->stamp = now;
		f->word = 0;
	}
	return f;
}

/*
 * count_begun counts the connection that a packet began, and not the packet: tc decides
 * on the packet once more, and then finds the connection's entry.
 */
static INLINE void count_begun(const struct work *w)
{
	struct server *s = bpf_map_lookup_elem(&servers, &w->server);

	if (!s || !conn_find(&w->packet.key))
		return;
	count(&service_stats, s->service, w->new_conns, 0, 0);
	count(&server_stats, w->server, w->new_conns, 0, 0);
}

#endif
