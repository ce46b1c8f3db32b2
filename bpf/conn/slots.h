/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * slots.h - the slots of the connections. They stand in chunks of one size, of which Go makes
 * more while weir runs, so that the sweep goes through a million in milliseconds, and may do so
 * in parts. A slot knows the earliest tick in which its connection may expire; before that the
 * sweep does not look at the flow cache. Packets that change no state do not change the slot.
 *
 * A slot is free, claimed by one CPU that fills it (STATE_NEW), a connection's, or is being
 * emptied (STATE_GONE). Its key changes only while it is claimed.
 */
#ifndef WEIR_CONN_SLOTS_H
#define WEIR_CONN_SLOTS_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/word.h"

/* A chunk has so many slots that a shift by this tells which. Go sets it. */
volatile const __u32 slot_chunk_shift = 31;

/* The least number of slots that a search covers (SpanLeast in Go). */
#define SPAN_LEAST 4096

/* slot_at is the slot with this index, or NULL. */
static INLINE struct conn *slot_at(__u32 index)
{
	__u32 chunk = index >> slot_chunk_shift, at = index & ((1U << slot_chunk_shift) - 1);
	void *slots = bpf_map_lookup_elem(&conn_slots, &chunk);

	return slots ? bpf_map_lookup_elem(slots, &at) : NULL;
}

/* conn_at is the slot at this place, counted from 1, or NULL. */
static INLINE struct conn *conn_at(__u32 place)
{
	return slot_at(place - 1);
}

/* slots_span is the number of the slots that a search covers. The fewer they are, the less there is to sweep. */
static INLINE __u32 slots_span(__u32 span, __u32 slots)
{
	if (span < SPAN_LEAST)
		span = SPAN_LEAST;
	return span < slots ? span : slots;
}

/* conn_wake wakes Go up, which looks at what has been asked (struct conn_limits). */
static INLINE void conn_wake(void)
{
	__u32 nothing = 0;

	bpf_ringbuf_output(&conn_wakes, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/* slots_ask asks Go to make more slots, once for each number that there are. */
static INLINE void slots_ask(void)
{
	if (conn_limits.asked == slot_sizes.slots)
		return;
	conn_limits.asked = slot_sizes.slots;
	conn_wake();
}

/* slot_take claims the slot at a place if it is free. */
static INLINE bool slot_take(struct conn *c)
{
	__u64 word = c->word;

	return conn_state(word) == STATE_NONE &&
	       __sync_val_compare_and_swap(&c->word, word, conn_word(word, 0, STATE_NEW, 0)) == word;
}

/* A search for a free slot, for bpf_loop. */
struct slot_search {
	__u32 place; /* of the slot that was claimed, counted from 1, or 0 */
};

/* How many slots are tried. Of a full table's slots one in five is free. */
#define SLOT_TRIES 128

/* After so many tries the search jumps, so far that it comes to all parts of the span in turn. */
#define SLOT_JUMP_AFTER 64

/*
 * slot_try tries to claim the next slot. Where slots are crowded it doubles the span, and where a
 * quarter of them are taken it asks for more. The search may stand in the midst of many slots that
 * are taken, where a burst has come since the last sweep has set the span.
 */
static long slot_try(__u32 turn, struct slot_search *s)
{
	__u32 at, was, span;
	struct conn *c;

	was = *(volatile __u32 *)&conn_limits.span;
	span = slots_span(was, slot_sizes.slots);
	at = __sync_fetch_and_add(&conn_limits.cursor, 1) % span;
	c = slot_at(at);
	if (!c)
		return 1;
	if (!slot_take(c)) {
		if ((turn & 7) != 7)
			return 0;
		/* Slots are crowded: the next searches cover twice as many. */
		if (span < slot_sizes.slots)
			__sync_val_compare_and_swap(&conn_limits.span, was, 2 * span);
		if (span >= slot_sizes.slots / 4)
			slots_ask();
		if (turn >= SLOT_JUMP_AFTER)
			__sync_fetch_and_add(&conn_limits.cursor, GOLDEN_32);
		return 0;
	}
	s->place = at + 1;
	return 1;
}

/*
 * slot_claim claims a slot, that which was freed for the packet (freed) before all others. It
 * returns the slot's place, counted from 1, or 0 where none was free.
 */
static NOINLINE __u32 slot_claim(__u32 freed)
{
	struct conn *c = freed ? conn_at(freed) : NULL;
	struct slot_search s = {};

	if (c && slot_take(c))
		return freed;
	if (!slot_try(0, &s))
		bpf_loop(SLOT_TRIES, slot_try, &s, 0);
	return s.place;
}

/* slot_free frees a slot whose word is this. No reference to it is left in the index. */
static INLINE void slot_free(struct conn *c, __u64 word)
{
	__sync_lock_test_and_set(&c->word, conn_word_of(word, 0, STATE_NONE, 0));
}

/* conn_due is the tick from which on a connection in this state, last seen at tick now, may expire. */
static INLINE __u32 conn_due(__u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit ? now + *limit + 1 : now;
}

#endif
