/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* recycle.h - a half-open connection is deleted to make room in the connection table. */
#ifndef WEIR_CONN_RECYCLE_H
#define WEIR_CONN_RECYCLE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "conn/entry.h"
#include "conn/slots.h"
#include "conn/table_full.h"
#include "conn/word.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* half_open_conn is the connection at a place of the ring if it is still half open, or NULL. */
static INLINE struct conn *half_open_conn(const struct half_open *h)
{
	struct conn *c = conn_at(h->place);
	__u64 word;

	if (!h->place || !c)
		return NULL;
	word = c->word;
	return conn_state(word) == STATE_SYN_RECV && conn_incarnation(word) == h->incarnation ? c : NULL;
}

/*
 * half_open_evict ends this packet's victim (half_open_enter) if it is still half open, and says
 * whether it did. It is a global function, so that it is verified once, and not for each verdict
 * on the packet.
 */
__noinline int half_open_evict(void)
{
	struct work *w = work_of();
	struct conn *c;
	__u64 word;

	if (!w)
		return false;
	c = half_open_conn(&w->victim);
	if (!c)
		return false;
	word = c->word;
	if (conn_incarnation(word) != w->victim.incarnation || conn_state(word) != STATE_SYN_RECV || !conn_remove(c, word))
		return false;
	w->freed = w->victim.place;
	note(NOTE_RECYCLED);
	table_full_note(tick());
	return true;
}

/* How many places of the ring are searched at a time for a half-open connection. */
#define RECYCLE_TURNS 64

/*
 * recycle_one looks at the next place of the ring, for bpf_loop. The search goes on where the last
 * one has ended, or where the oldest connection is that the ring has yet.
 */
static long recycle_one(__u32 turn, struct work **w)
{
	struct half_open *h;
	__u64 oldest;
	__u32 at;

	if (!slot_sizes.half_open)
		return 1;
	oldest = conn_limits.oldest;
	if (conn_limits.turn - oldest > slot_sizes.half_open)
		oldest = conn_limits.turn - slot_sizes.half_open;
	if (oldest == conn_limits.turn)
		return 1;
	conn_limits.oldest = oldest + 1;
	at = oldest % slot_sizes.half_open;
	h = bpf_map_lookup_elem(&half_open_slots, &at);
	if (!h || !half_open_conn(h))
		return 0;
	(*w)->victim = *h;
	return 1;
}

/*
 * recycle_half_open makes room in a full table: it deletes the oldest half-open
 * connection, and says whether it did.
 */
static INLINE bool recycle_half_open(struct work *w)
{
	bpf_loop(RECYCLE_TURNS, recycle_one, &w, 0);
	return half_open_evict();
}

#endif
