/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* recycle.h - a half-open connection is deleted to make room in the connection table. */
#ifndef WEIR_CONN_RECYCLE_H
#define WEIR_CONN_RECYCLE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "conn/entry.h"
#include "conn/table_full.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* half_open_still says whether the connection at this place of the ring is half open. */
static INLINE bool half_open_still(const struct half_open *h)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &h->key);

	return c && c->word == h->word;
}

/*
 * half_open_evict deletes this packet's victim (half_open_enter) if it is still half
 * open, and says whether it did.
 */
static INLINE bool half_open_evict(struct work *w)
{
	const struct flow_key *key = &w->victim.key;
	__u64 word = w->victim.word;
	struct conn_limits *limits = conn_limits_of();
	struct conn *c;

	w->victim.word = 0;
	c = word ? bpf_map_lookup_elem(&conns, key) : NULL;
	if (!c || c->word != word || !conn_delete(key, c, word))
		return false;
	note(NOTE_RECYCLED);
	if (limits)
		table_full_note(limits, tick());
	return true;
}

/* How many places of the ring are searched for a half-open connection. */
#define RECYCLE_TURNS 64

/* recycle_one looks at one place of the ring, for bpf_loop. */
static long recycle_one(__u32 turn, struct work **w)
{
	struct conn_limits *limits = conn_limits_of();
	struct half_open *h;
	__u32 at;

	if (!limits || !limits->limit)
		return 1;
	at = (limits->turn + turn) % limits->limit;
	h = bpf_map_lookup_elem(&half_opens, &at);
	if (!h || !half_open_still(h))
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
	return half_open_evict(w);
}

#endif
