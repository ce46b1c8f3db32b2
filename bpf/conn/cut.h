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

/* cut_entry deletes the connection of an expiry entry where its client is denied. */
static NOINLINE void cut_entry(__u32 place)
{
	struct expiry_entry *e = expiry_at(place);
	__u32 state;
	struct conn *c;

	if (!e || !e->taken)
		return;
	c = conn_find(&e->key);
	if (!c || conn_place(c) != place)
		return;
	state = conn_state(c->word);
	if (state == STATE_REPLY || state == STATE_GONE || !access_denied(&e->key, 0))
		return;
	for (__u32 i = 0; i < CUT_TRIES; i++) /* packets change the word meanwhile */
		if (conn_delete(&e->key, c, c->word))
			return;
}

/* cut_some looks at the entry of this turn, counted from first, for bpf_loop. */
static long cut_some(__u32 turn, __u32 *first)
{
	cut_entry(*first + turn + 1);
	return 0;
}

#endif
