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

/* A walk along a set, from the newest member to the oldest, for bpf_loop. */
struct walk {
	struct cache_key at; /* the destination; its block is the one to look at */
	__u32 left;          /* how many members are still to be looked at */
	__u32 server;        /* the server that was found, or NO_SERVER */
	__u32 place;         /* of the member that was found, counted from 0, the oldest */
	__u32 weight;
	__u64 load;
};

/* walk_begin goes to the newest member of the set. */
static INLINE void walk_begin(struct walk *w, const struct cache_line *line)
{
	w->left = line->size;
	w->server = NO_SERVER;
	w->weight = 0;
	w->load = 1; /* with the weight 0 more than any server's */
}

/*
 * walk_block is the next block, or NULL where there is none. It sets n to how many
 * members it has, of which the last is the newest.
 */
static INLINE struct member_block *walk_block(struct walk *w, __u32 *n)
{
	__u32 last = w->left - 1, count = last % BLOCK_MEMBERS + 1;

	if (!w->left)
		return NULL;
	w->left -= count;
	asm volatile("" : "+r"(count)); /* so that the loops over members keep a bound of their own */
	*n = count;
	w->at.block = last / BLOCK_MEMBERS + 1;
	return bpf_map_lookup_elem(&member_blocks, &w->at);
}

/* block_member is the member at a place of its block. */
static INLINE __u32 *block_member(struct member_block *b, __u32 at)
{
	asm volatile("" : "+r"(at)); /* so that the verifier sees that it is bounded */
	return &b->server[at % BLOCK_MEMBERS];
}

/* walk_take makes a member of this block the one that was found. */
static INLINE void walk_take(struct walk *w, __u32 at, __u32 server, const struct load *l)
{
	w->server = server;
	w->place = w->left + at;
	w->weight = l->weight;
	w->load = overhead(l);
}

/* set_min finds the least loaded member, for bpf_loop (ip_vs_dest_set_min). */
static long set_min(__u32 turn, struct walk *w)
{
	__u32 n = 0;
	struct member_block *b = walk_block(w, &n);

	if (!b)
		return !w->left;
	for (__u32 i = 0; i < BLOCK_MEMBERS && i < n; i++) {
		__u32 at = n - 1 - i, server = *block_member(b, at);
		struct load *l = load_of(server);

		if (l && w->load * l->weight > overhead(l) * w->weight && !load_full(l) && server_present(server))
			walk_take(w, at, server, l);
	}
	return !w->left;
}

/* set_max finds the most loaded member, for bpf_loop (ip_vs_dest_set_max). */
static long set_max(__u32 turn, struct walk *w)
{
	__u32 n = 0;
	struct member_block *b = walk_block(w, &n);

	if (!b)
		return !w->left;
	for (__u32 i = 0; i < BLOCK_MEMBERS && i < n; i++) {
		__u32 at = n - 1 - i, server = *block_member(b, at);
		struct load *l = load_of(server);

		if (l && l->weight &&
		    (w->server == NO_SERVER || w->load * l->weight < overhead(l) * w->weight))
			walk_take(w, at, server, l);
	}
	return !w->left;
}

/* A search for a member, for bpf_loop. */
struct member_search {
	struct walk walk;
	__u32 wanted;
};

/* set_find looks for the wanted server, and ends the loop where it is a member. */
static long set_find(__u32 turn, struct member_search *s)
{
	__u32 n = 0;
	struct member_block *b = walk_block(&s->walk, &n);

	if (!b)
		return !s->walk.left;
	for (__u32 i = 0; i < BLOCK_MEMBERS && i < n; i++)
		if (*block_member(b, i) == s->wanted) {
			s->walk.server = s->wanted;
			return 1;
		}
	return !s->walk.left;
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

/* set_blocks is how many blocks the members of a set can fill. */
#define SET_BLOCKS (MAX_TURNS / BLOCK_MEMBERS)

/* The value of a new block. */
static const struct member_block no_members;

/* set_append puts the server behind the newest member. The caller has the lock. */
static INLINE void set_append(struct cache_key *at, struct cache_line *line, __u32 server)
{
	struct member_block *b;

	at->block = line->size / BLOCK_MEMBERS + 1;
	b = bpf_map_lookup_elem(&member_blocks, at);
	if (!b) {
		bpf_map_update_elem(&member_blocks, at, &no_members, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&member_blocks, at);
	}
	if (!b)
		return; /* there is no room */
	*block_member(b, line->size) = server;
	line->size++;
	line->modified = tick();
}

/* set_insert makes the server the newest member of the set, unless it is one. */
static NOINLINE void set_insert(const struct cache_key *key, struct cache_line *line, __u32 server)
{
	struct member_search s = { .walk = { .at = *key }, .wanted = server };

	if (!set_lock(line))
		return;
	walk_begin(&s.walk, line);
	if (line->size)
		bpf_loop(SET_BLOCKS, set_find, &s, 0);
	if (s.walk.server == NO_SERVER)
		set_append(&s.walk.at, line, server);
	set_unlock(line);
}

/* set_member is the member at this place, or NULL. */
static INLINE __u32 *set_member(struct cache_key *at, __u32 place)
{
	struct member_block *b;

	at->block = place / BLOCK_MEMBERS + 1;
	b = bpf_map_lookup_elem(&member_blocks, at);
	return b ? block_member(b, place) : NULL;
}

/* set_close_up moves the member behind a place to that place, for bpf_loop. */
static long set_close_up(__u32 turn, struct walk *w)
{
	__u32 *next = set_member(&w->at, w->place + turn + 1), *to;
	__u32 server = next ? *next : NO_SERVER;

	to = set_member(&w->at, w->place + turn);
	if (to)
		*to = server;
	return 0;
}

/* set_unlink takes the member that was found out of the set. The caller has the lock. */
static INLINE void set_unlink(struct walk *w, struct cache_line *line)
{
	__u32 size = line->size - 1;

	bpf_loop(size - w->place, set_close_up, w, 0);
	line->size = size;
	line->modified = tick();
	w->at.block = size / BLOCK_MEMBERS + 1;
	if (size % BLOCK_MEMBERS == 0)
		bpf_map_delete_elem(&member_blocks, &w->at);
}

/* set_shrink takes the most loaded server out of a set with several members. */
static NOINLINE void set_shrink(struct walk *w, struct cache_line *line)
{
	if (!set_lock(line))
		return;
	walk_begin(w, line);
	if (line->size > 1)
		bpf_loop(SET_BLOCKS, set_max, w, 0);
	if (w->server != NO_SERVER)
		set_unlink(w, line);
	set_unlock(line);
}

/*
 * set_begin empties the set of a line that an earlier version made: its members stood in
 * another table. Such a line has a server.
 */
static INLINE void set_begin(struct cache_line *line)
{
	if (!set_lock(line))
		return;
	line->size = 0;
	line->server = NO_SERVER;
	set_unlock(line);
}

/* set_new makes the destination's set, with this server. */
static INLINE void set_new(struct cache_key *key, __u32 server)
{
	struct cache_line *line;

	cache_add(key, NO_SERVER, tick());
	line = bpf_map_lookup_elem(&cache, key);
	if (line)
		set_insert(key, line, server);
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
	if (line->server != NO_SERVER)
		set_begin(line);
	line->used = tick();
	walk_begin(&w, line);
	if (line->size)
		bpf_loop(SET_BLOCKS, set_min, &w, 0);
	server = w.server;
	if (line->size > 1 && (__s32)(line->used - line->modified) > (__s32)CACHE_EXPIRY)
		set_shrink(&w, line);
	if (server != NO_SERVER && !overloaded(svc->index, server))
		return server;
	server = schedule_scan(svc->index, SCHED_WLC);
	if (server != NO_SERVER)
		set_insert(&w.at, line, server);
	return server;
}

#endif
