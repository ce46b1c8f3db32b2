/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cut.h - a rule that comes ends the connections of clients that it denies. Go calls it
 * (weir_cut). It is no part of the sweep, which may sleep: a program that may cannot ask a
 * table of prefixes.
 */
#ifndef WEIR_CONN_CUT_H
#define WEIR_CONN_CUT_H

#include "abi.h"
#include "base/bpf.h"
#include "conn/entry.h"
#include "conn/expiry.h"
#include "conn/tables.h"
#include "conn/word.h"
#include "service/access.h"

/* How often a deletion is tried, and how many entries one call of weir_cut looks at (CutAtATime in Go). */
#define CUT_TRIES 8
#define CUT_AT_A_TIME 1024

/*
 * cut_try deletes the connection of an expiry entry where its client is denied. It returns
 * false where another CPU has changed the connection meanwhile, as packets do.
 */
static NOINLINE bool cut_try(__u32 place)
{
	struct expiry_entry *e = expiry_at(place);
	struct flow_key key;
	struct conn *c;
	__u32 state;
	__u64 word;

	if (!e || !e->taken)
		return true;
	key = e->key;
	c = conn_find(&key);
	if (!c)
		return true;
	word = c->word;
	if (conn_place(c) != place)
		return true;
	state = conn_state(word);
	if (state == STATE_REPLY || state == STATE_GONE || !access_denied(&key, 0))
		return true;
	return conn_delete(&key, c, word);
}

/* cut_some looks at the entry of this turn, counted from first, for bpf_loop. */
static long cut_some(__u32 turn, __u32 *first)
{
	for (__u32 i = 0; i < CUT_TRIES; i++)
		if (cut_try(*first + turn + 1))
			break;
	return 0;
}

#endif
