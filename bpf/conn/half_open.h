/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * half_open.h - the ring of half-open connections (SYN_RECV). A SYN flood cannot evict
 * established connections: where half-open connections are many, a new one takes the
 * place of the oldest.
 */
#ifndef WEIR_CONN_HALF_OPEN_H
#define WEIR_CONN_HALF_OPEN_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/table_full.h"
#include "conn/tables.h"
#include "conn/word.h"
#include "verdict/work.h"

/*
 * half_open_enter puts a connection that has just become half open into the ring. While
 * the ring is more than half full, the connection whose place it takes becomes the
 * victim of this packet. So the half-open connections never exceed one and a half times
 * the ring.
 */
static NOINLINE void half_open_enter(struct conn_limits *limits, const struct conn_sizes *z, __u32 expiry,
				     __u64 word)
{
	struct work *w = work_of();
	struct half_open *h;
	__u32 at;

	if (!limits || !z || !w || !z->half_open)
		return;
	__sync_fetch_and_add(&limits->half_open, 1);
	at = __sync_fetch_and_add(&limits->turn, 1) % z->half_open;
	h = bpf_map_lookup_elem(&half_open_ring, &at);
	if (!h)
		return;
	if (limits->half_open > z->half_open / 2)
		w->victim = *h;
	h->expiry = expiry;
	h->incarnation = conn_incarnation(word);
}

/*
 * half_open_leave counts a connection that is no longer half open. Its place in the ring
 * is left to the next one.
 */
static INLINE void half_open_leave(void)
{
	struct conn_limits *limits = conn_limits_of();

	if (limits)
		__sync_fetch_and_add(&limits->half_open, -1);
}

/*
 * half_open_move keeps the ring and its count when a connection changes from one state
 * to another. Expiry is the place of its expiry entry, the word its new one.
 */
static INLINE void half_open_move(__u32 expiry, __u64 word, __u32 from, __u32 to)
{
	if (from == to)
		return;
	if (from == STATE_SYN_RECV)
		half_open_leave();
	if (to == STATE_SYN_RECV)
		half_open_enter(conn_limits_of(), conn_sizes_of(), expiry, word);
}

#endif
