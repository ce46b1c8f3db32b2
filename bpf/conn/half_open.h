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
#include "conn/word.h"
#include "verdict/work.h"

/*
 * half_open_enter puts a connection that has just become half open into the ring. While
 * the ring is more than half full, the connection whose place it takes becomes the
 * victim of this packet. So the half-open connections never exceed one and a half times
 * the ring.
 */
static NOINLINE void half_open_enter(__u32 place, __u64 word)
{
	struct work *w = work_of();
	struct half_open *h;
	__u32 at;

	if (!w || !slot_sizes.half_open)
		return;
	__sync_fetch_and_add(&conn_limits.half_open, 1);
	at = __sync_fetch_and_add(&conn_limits.turn, 1) % slot_sizes.half_open;
	h = bpf_map_lookup_elem(&half_open_slots, &at);
	if (!h)
		return;
	if (conn_limits.half_open > slot_sizes.half_open / 2)
		w->victim = *h;
	h->place = place;
	h->incarnation = conn_incarnation(word);
}

/*
 * half_open_leave counts a connection that is no longer half open. Its place in the ring
 * is left to the next one.
 */
static INLINE void half_open_leave(void)
{
	__sync_fetch_and_add(&conn_limits.half_open, -1);
}

/*
 * half_open_move keeps the ring and its count when a connection changes from one state
 * to another. Place is that of its slot, the word its new one.
 */
static INLINE void half_open_move(__u32 place, __u64 word, __u32 from, __u32 to)
{
	if (from == to)
		return;
	if (from == STATE_SYN_RECV)
		half_open_leave();
	if (to == STATE_SYN_RECV)
		half_open_enter(place, word);
}

#endif
