/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * expiry.h - the expiry entries of the connections. They stand in one array, so that
 * the sweep goes through a million in milliseconds, and may do so in parts. An entry
 * knows the earliest tick in which its connection may expire; before that the sweep
 * does not look at the connection. Packets that change no state do not touch the entry.
 *
 * An entry is taken before its connection is inserted, and released before the
 * connection is deleted. In between, the sweep may find an entry without a connection:
 * it flags the entry as orphaned, and frees it if it still is one in the next sweep.
 */
#ifndef WEIR_CONN_EXPIRY_H
#define WEIR_CONN_EXPIRY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/tables.h"

/* The entries stand in chunks of so many that a shift by this tells which. Go sets it. */
volatile const __u32 expiry_chunk_shift = 31;

/*
 * The flag of an entry without a connection, in expiry_entry.taken, and the least number
 * of entries that a search covers (SpanLeast in Go).
 */
#define EXPIRY_ORPHAN (1U << 31)
#define SPAN_LEAST 4096

/* A search for a free entry, for bpf_loop. */
struct expiry_search {
	const struct flow_key *key;
	__u32 server, due;
	__u32 place; /* of the entry that was taken, counted from 1, or 0 */
};

/* expiry_entry_at is the entry with this index, or NULL. */
static INLINE struct expiry_entry *expiry_entry_at(__u32 index)
{
	__u32 chunk = index >> expiry_chunk_shift, at = index & ((1U << expiry_chunk_shift) - 1);
	void *entries = bpf_map_lookup_elem(&expiry_chunks, &chunk);

	return entries ? bpf_map_lookup_elem(entries, &at) : NULL;
}

/* expiry_at is the entry at this place, counted from 1, or NULL. */
static INLINE struct expiry_entry *expiry_at(__u32 place)
{
	return expiry_entry_at(place - 1);
}

/*
 * expiry_span is the number of the entries that a search covers. The fewer they are, the
 * less there is to sweep.
 */
static INLINE __u32 expiry_span(__u32 span, __u32 entries)
{
	if (span < SPAN_LEAST)
		span = SPAN_LEAST;
	return span < entries ? span : entries;
}

/*
 * conn_ask_room asks Go to make more room for connections, once for each size that the tables
 * have.
 */
static INLINE void conn_ask_room(void)
{
	if (conn_limits.asked == conn_sizes.entries)
		return;
	conn_limits.asked = conn_sizes.entries;
	conn_wake();
}

/*
 * expiry_try tries to take the next entry. Where entries are crowded it doubles the
 * span, and where a quarter of them are taken it asks for more room.
 */
static long expiry_try(__u32 turn, struct expiry_search *s)
{
	struct expiry_entry *e;
	__u32 at, was, span;

	was = *(volatile __u32 *)&conn_limits.span;
	span = expiry_span(was, conn_sizes.entries);
	at = __sync_fetch_and_add(&conn_limits.cursor, 1) % span;
	e = expiry_entry_at(at);
	if (!e)
		return 1;
	if (e->taken || __sync_val_compare_and_swap(&e->taken, 0, s->server + 1) != 0) {
		if ((turn & 7) != 7)
			return 0;
		/* Entries are crowded: the next searches cover twice as many. */
		if (span < conn_sizes.entries)
			__sync_val_compare_and_swap(&conn_limits.span, was, 2 * span);
		if (span >= conn_sizes.entries / 4)
			conn_ask_room();
		return 0;
	}
	e->key = *s->key;
	e->due = s->due;
	s->place = at + 1;
	return 1;
}

/* How many entries are tried. Of a full table's entries one in five is free. */
#define EXPIRY_TRIES 128

/*
 * expiry_due is the tick from which on a connection in this state, last seen at tick
 * now, may expire.
 */
static INLINE __u32 expiry_due(__u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit ? now + *limit + 1 : now;
}

/*
 * expiry_take takes an entry for a connection. It returns the entry's place, counted
 * from 1, or 0 where none was free.
 */
static NOINLINE __u32 expiry_take(const struct flow_key *key, __u32 server, __u32 due)
{
	struct expiry_search s = { .key = key, .server = server, .due = due };

	if (!expiry_try(0, &s))
		bpf_loop(EXPIRY_TRIES, expiry_try, &s, 0);
	return s.place;
}

/* expiry_release frees an entry. Whoever deletes its connection calls it. */
static INLINE void expiry_release(__u32 place)
{
	struct expiry_entry *e = expiry_at(place);

	if (e)
		e->taken = 0;
}

/* expiry_set_state sets the due tick of a connection that has changed its state. */
static INLINE void expiry_set_state(const struct conn *c, __u32 state, __u32 now)
{
	struct expiry_entry *e = expiry_at(conn_place(c));

	if (e)
		e->due = expiry_due(state, now);
}

/*
 * expiry_reuse gives the entry to a new connection under the same key, with another
 * server.
 */
static INLINE void expiry_reuse(const struct conn *c, __u32 server, __u32 state, __u32 now)
{
	struct expiry_entry *e = expiry_at(conn_place(c));

	if (!e)
		return;
	e->taken = server + 1;
	e->due = expiry_due(state, now);
}

#endif
