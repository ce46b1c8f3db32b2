/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lblcr.h - a set of servers for each destination (net/netfilter/ipvs/ip_vs_lblcr.c):
 * where the destination's server is overloaded, another one joins the set.
 *
 * A set changes only under the lock of its line, and nobody waits for that lock: a CPU
 * that does not get it leaves the set as it is and uses the server all the same, as
 * the kernel does when it has no memory. A reader may see a set in the middle of a
 * change; it then sees fewer members.
 */
#ifndef WEIR_SCHED_LBLCR_H
#define WEIR_SCHED_LBLCR_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "sched/locality.h"
#include "sched/scan.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/* A walk along a set, for bpf_loop. */
struct walk {
	struct cache_key at; /* the member to look at next */
	__u32 before;        /* the member before it, or NO_SERVER */
	__u32 server;        /* the server that was found, or NO_SERVER */
	__u32 found_before;  /* the member before the one that was found */
	__u32 weight;
	__u64 load;
};

/* walk_begin goes to the first member of the set. */
static INLINE void walk_begin(struct walk *w, const struct cache_line *line)
{
	w->at.server = line->head;
	w->before = NO_SERVER;
	w->server = NO_SERVER;
}

/* walk_on goes to the next member. True: there is none. */
static INLINE bool walk_on(struct walk *w)
{
	struct member *m = bpf_map_lookup_elem(&members, &w->at);

	w->before = w->at.server;
	w->at.server = m ? m->next : NO_SERVER;
	return w->at.server == NO_SERVER;
}

/* walk_take makes this member the one that was found. */
static INLINE void walk_take(struct walk *w, const struct load *l)
{
	w->server = w->at.server;
	w->found_before = w->before;
	w->weight = l->weight;
	w->load = overhead(l);
}

/* set_min finds the least loaded member, for bpf_loop (ip_vs_dest_set_min). */
static long set_min(__u32 turn, struct walk *w)
{
	struct load *l = load_of(w->at.server);

	if (l && l->weight && !load_full(l) && server_present(w->at.server) &&
	    (w->server == NO_SERVER || w->load * l->weight > overhead(l) * w->weight))
		walk_take(w, l);
	return walk_on(w);
}

/* set_max finds the most loaded member, for bpf_loop (ip_vs_dest_set_max). */
static long set_max(__u32 turn, struct walk *w)
{
	struct load *l = load_of(w->at.server);

	if (l && l->weight &&
	    (w->server == NO_SERVER || w->load * l->weight < overhead(l) * w->weight))
		walk_take(w, l);
	return walk_on(w);
}

/* set_find looks for the server in found_before, for bpf_loop. */
static long set_find(__u32 turn, struct walk *w)
{
	if (w->at.server == w->found_before) {
		w->server = w->at.server;
		return 1;
	}
	return walk_on(w);
}

/* set_lock takes the lock of the line's set. False: another CPU has it. */
static INLINE bool set_lock(struct cache_line *line)
{
	return __sync_val_compare_and_swap(&line->lock, 0, 1) == 0;
}

/* set_unlock gives the lock back. */
static INLINE void set_unlock(struct cache_line *line)
{
	__sync_val_compare_and_swap(&line->lock, 1, 0);
}

/* set_insert puts the server first in the set, unless it is a member. */
static NOINLINE void set_insert(struct walk *w, struct cache_line *line, __u32 server)
{
	struct member m = {};

	if (!set_lock(line))
		return;
	walk_begin(w, line);
	w->found_before = server;
	if (w->at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_find, w, 0);
	if (w->server == NO_SERVER) {
		w->at.server = server;
		m.next = line->head;
		if (!bpf_map_update_elem(&members, &w->at, &m, BPF_ANY)) {
			line->head = server;
			line->size++;
			line->modified = tick();
		}
	}
	set_unlock(line);
}

/* set_unlink takes the server that was found out of the set. The caller has the lock. */
static INLINE void set_unlink(struct walk *w, struct cache_line *line)
{
	struct member *m, *before;
	__u32 next;

	w->at.server = w->server;
	m = bpf_map_lookup_elem(&members, &w->at);
	next = m ? m->next : NO_SERVER;
	w->at.server = w->found_before;
	before = bpf_map_lookup_elem(&members, &w->at);
	if (w->found_before == NO_SERVER)
		line->head = next;
	else if (before)
		before->next = next;
	w->at.server = w->server;
	bpf_map_delete_elem(&members, &w->at);
	line->size--;
	line->modified = tick();
}

/* set_shrink takes the most loaded server out of a set with several members. */
static NOINLINE void set_shrink(struct walk *w, struct cache_line *line)
{
	if (!set_lock(line))
		return;
	walk_begin(w, line);
	if (line->size > 1 && w->at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_max, w, 0);
	if (w->server != NO_SERVER)
		set_unlink(w, line);
	set_unlock(line);
}

/* set_new makes the destination's set, with this server. */
static INLINE void set_new(struct cache_key *key, __u32 server)
{
	struct member last = { .next = NO_SERVER };

	if (!cache_add(key, server, tick()))
		return;
	key->server = server;
	bpf_map_update_elem(&members, key, &last, BPF_ANY);
}

/*
 * schedule_lblcr is the server of lblcr, or NO_SERVER: the least loaded member of the
 * destination's set, or where that one is overloaded the least loaded server, which
 * joins the set. A set that has not changed for a day loses its most loaded member
 * (ip_vs_lblcr_schedule).
 */
static NOINLINE __u32 schedule_lblcr(const struct service *svc, const struct flow_key *key)
{
	struct walk w = { .at = { .to = key->to, .service = svc->index } };
	struct cache_line *line = bpf_map_lookup_elem(&cache, &w.at);
	__u32 server;

	if (!line) {
		server = schedule_scan(svc->index, SCHED_WLC);
		if (server != NO_SERVER)
			set_new(&w.at, server);
		return server;
	}
	line->used = tick();
	walk_begin(&w, line);
	if (w.at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_min, &w, 0);
	server = w.server;
	if (line->size > 1 && (__s32)(line->used - line->modified) > (__s32)CACHE_EXPIRY)
		set_shrink(&w, line);
	if (server != NO_SERVER && !overloaded(svc->index, server))
		return server;
	server = schedule_scan(svc->index, SCHED_WLC);
	if (server != NO_SERVER)
		set_insert(&w, line, server);
	return server;
}

#endif
