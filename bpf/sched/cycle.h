/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cycle.h - rr and wrr: servers in turn (net/netfilter/ipvs/ip_vs_rr.c and ip_vs_wrr.c).
 * A round has a level, which falls from the top to 1; in each round the servers that
 * have at least as many turns as the level get one turn each, in list order.
 *
 * A cycle that is laid out in the table is followed by counting, without a wait. A cycle
 * that is too long for the table (weights go to 2^31-1) is walked through, and so are
 * the turns of full servers: that costs two looks at each server at most, however many
 * turns are passed over. No lock is taken: the next turn is worked out first and then
 * entered by a compare-and-exchange, and a CPU that loses it tries again.
 */
#ifndef WEIR_SCHED_CYCLE_H
#define WEIR_SCHED_CYCLE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "sched/table.h"
#include "service/load.h"
#include "service/server.h"

/*
 * How often a CPU tries to take a turn. After that the server that it found last is
 * used, though another CPU's connection may have got it in the same turn.
 */
#define CYCLE_TRIES 16

/*
 * A turn: the server's place in the list, counted from 1 (0: before the first), and the
 * level of its round.
 */
struct turn {
	__u32 place, level;
};

/* A search through a cycle's servers, for bpf_loop. */
struct round {
	__u32 service;
	__u32 list;    /* the word of the table at which the list begins */
	__u32 servers; /* how many servers the list has */
	__u32 top;     /* the most turns that a server has */
	struct turn at;
	__u32 from;    /* the place behind which the search begins */
	__u32 place, turns, server; /* of the server found, or of the one with the most turns so far */
	__u64 rank;
	__u64 length; /* of the cycle that is laid out in the table, or 0 */
	__u64 head;   /* the count at which a round had just begun */
};

/* entry_turns is how many turns a server has, by its entry in the list. */
static INLINE __u32 entry_turns(__u64 entry)
{
	return entry >> LIST_TURNS_SHIFT;
}

/*
 * round_entry is the n-th entry of the list, or NULL behind the last: turns <<
 * LIST_TURNS_SHIFT | the server's index.
 */
static INLINE __u64 *round_entry(const struct round *r, __u32 n)
{
	void *table = table_of(r->service);

	if (!table || n >= r->servers)
		return NULL;
	return table_at(table, r->list + n);
}

/*
 * round_look looks at one server, and ends the loop at the first that takes part in the
 * round.
 */
static long round_look(__u32 n, struct round *r)
{
	__u64 *entry = round_entry(r, r->from + n);
	struct load *l;
	__u32 server;

	if (!entry)
		return 1;
	if (entry_turns(*entry) <= r->turns)
		return 0;
	server = *entry;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l || load_full(l))
		return 0;
	r->place = r->from + n + 1;
	r->turns = entry_turns(*entry);
	r->server = server;
	return r->turns >= r->at.level;
}

/*
 * round_from searches from the server behind this place for one that takes part in a
 * round of this level. It finds that server, or the one with the most turns (r->turns).
 * False: no server may get a connection.
 */
static INLINE bool round_from(struct round *r, __u32 place, __u32 level)
{
	r->from = place;
	r->at.level = level;
	r->turns = 0;
	bpf_loop(r->servers, round_look, r, 0);
	return r->turns;
}

/*
 * next_turn goes on to the next turn whose server may get a connection: in this round,
 * or from the list's head in the next round that has one. False: no server may. The
 * kernel then begins anew, unless this was the last round and it had begun.
 */
static NOINLINE bool next_turn(struct round *r)
{
	__u32 level = r->at.level, place = r->at.place;

	if (round_from(r, place, level) && r->turns >= level) {
		r->at.place = r->place;
		return true;
	}
	if (round_from(r, 0, level > 1 ? level - 1 : r->top)) {
		r->at.place = r->place;
		if (r->turns < r->at.level)
			r->at.level = r->turns;
		return true;
	}
	r->server = NO_SERVER;
	r->at.level = level;
	if (level > 1 || !place) {
		r->at.place = 0;
		r->at.level = r->top;
	}
	return false;
}

/*
 * rank_one counts the turns that a server has had, from the top of the cycle to this
 * turn.
 */
static long rank_one(__u32 n, struct round *r)
{
	__u64 *entry = round_entry(r, n);
	__u32 turns;

	if (!entry)
		return 1;
	turns = entry_turns(*entry);
	if (turns > r->at.level)
		r->rank += turns - r->at.level;
	if (turns >= r->at.level && n < r->at.place)
		r->rank++;
	return 0;
}

/* turn_of reads a slot of the table (TURN_LEVEL_SHIFT in abi.h). */
static INLINE void turn_of(struct turn *t, __u64 slot)
{
	t->level = (slot >> TURN_LEVEL_SHIFT) + 1;
	t->place = ((slot >> TURN_PLACE_SHIFT) & TURN_PLACE_MASK) + 1;
}

/*
 * pass_over replaces a turn that was taken, and whose server is full, by the next turn.
 * A cycle that begins anew does so at a count that no counting reaches, so that it
 * differs from one that has ended. False: another CPU has taken a turn meanwhile.
 */
static NOINLINE bool pass_over(struct round *r, __u64 *cursor, __u64 count)
{
	void *table = table_of(r->service);
	bool begins = count == r->head || count == r->length << 32;
	__u64 *slot, at, to;

	if (!table || !r->length)
		return true;
	slot = table_at(table, TABLE_SLOTS + (count - !begins) % r->length);
	if (!slot)
		return true;
	turn_of(&r->at, *slot);
	if (begins)
		r->at.place = 0;
	if (next_turn(r)) {
		r->rank = 0;
		bpf_loop(r->servers, rank_one, r, 0);
		at = count % r->length;
		to = count + r->rank - at + (r->rank > at ? 0 : r->length);
	} else {
		to = r->at.place ? count : r->length << 32;
	}
	return __sync_val_compare_and_swap(cursor, count + 1, to) == count + 1;
}

/*
 * step takes the next turn of a cycle that is not laid out, whose cursor is the turn.
 * False: another CPU was faster.
 */
static INLINE bool step(struct round *r, __u64 *cursor)
{
	__u64 was = *(volatile __u64 *)cursor, now;

	r->at.place = was >> 32;
	r->at.level = was;
	next_turn(r);
	now = (__u64)r->at.place << 32 | r->at.level;
	return now == was || __sync_val_compare_and_swap(cursor, was, now) == was;
}

/*
 * search_turn takes the turn after one that was taken, by this count, and whose server is full; or the
 * next turn of a cycle that is not laid out. Head is the table's first row. True: it took one, or there
 * is none.
 */
static INLINE bool search_turn(struct pick *p, struct row *head, __u64 count)
{
	struct round r = {
		.service = p->service,
		.length = head->word[TABLE_LENGTH],
		.head = head->word[TABLE_HEAD],
		.list = TABLE_SLOTS + head->word[TABLE_LENGTH],
		.servers = head->word[TABLE_SERVERS],
		.top = head->word[TABLE_TOP],
	};
	__u64 *cursor = &head->word[TABLE_CURSOR];
	bool done = r.length ? pass_over(&r, cursor, count) : step(&r, cursor);

	p->server = r.server;
	return done;
}

/* take_turn tries once to take a turn, for bpf_loop. */
static long take_turn(__u32 try, struct pick *p)
{
	void *table = table_of(p->service);
	__u64 *slot, length, count = 0;
	struct row *head;
	struct load *l;

	if (!table)
		return 1;
	head = table_row(table, 0);
	if (!head || !head->word[TABLE_SERVERS])
		return 1;
	length = head->word[TABLE_LENGTH];
	if (length) {
		count = __sync_fetch_and_add(&head->word[TABLE_CURSOR], 1);
		slot = table_at(table, TABLE_SLOTS + count % length);
		if (!slot)
			return 1;
		p->server = *slot;
		l = bpf_map_lookup_elem(&loads, &p->server);
		if (!l || !load_full(l))
			return 1;
	}
	return search_turn(p, head, count);
}

/* schedule_cycle is the server of rr and wrr, or NO_SERVER. */
static INLINE __u32 schedule_cycle(const struct service *svc)
{
	struct pick pick = { .service = svc->index, .server = NO_SERVER };

	if (!take_turn(0, &pick))
		bpf_loop(CYCLE_TRIES - 1, take_turn, &pick, 0);
	return pick.server;
}

#endif
