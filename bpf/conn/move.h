/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* move.h - connections enter another index. Go calls it (weir_move). */
#ifndef WEIR_CONN_MOVE_H
#define WEIR_CONN_MOVE_H

#include "abi.h"
#include "base/bpf.h"
#include "conn/index.h"
#include "conn/slots.h"
#include "conn/word.h"

/*
 * move_flow enters a flow's reference to the place of a connection. False: there is no room for it,
 * or the connection has changed meanwhile; then what was entered is dropped again.
 */
static INLINE bool move_flow(__u32 hash, __u32 place, const struct conn *c, __u64 word)
{
	int moved = index_move(hash, place);

	if (conn_incarnation(*(volatile __u64 *)&c->word) == conn_incarnation(word))
		return moved;
	if (moved == INDEX_ENTERED)
		index_take_back(hash, place);
	return false;
}

/* move_slot enters the connection of the next slot, for bpf_loop. Go calls again for those that fail. */
static long move_slot(__u32 turn, struct moved *m)
{
	__u32 place = m->first + turn + 1;
	struct conn *c = conn_at(place);
	__u64 word;

	if (!c)
		return 1;
	word = *(volatile __u64 *)&c->word;
	if (!conn_lives(word))
		return 0;
	if (!move_flow(index_hash(&c->key), place, c, word) ||
	    (c->route.ifindex && !move_flow(c->answers, place | REF_ANSWERS, c, word)))
		m->failed++;
	return 0;
}

#endif
