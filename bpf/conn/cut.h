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
#include "conn/slots.h"
#include "conn/word.h"
#include "service/access.h"

/* How often a deletion is tried, and how many entries one call of weir_cut looks at (CutAtATime in Go). */
#define CUT_TRIES 8
#define CUT_AT_A_TIME 1024

/*
 * cut_try ends the connection at a place where its client is denied. It returns false where
 * another CPU has changed the connection meanwhile, as packets do.
 */
static NOINLINE bool cut_try(__u32 place)
{
	struct conn *c = conn_at(place);
	__u64 word;

	if (!c)
		return true;
	word = c->word;
	if (!conn_lives(word) || !access_denied(&c->key, 0))
		return true;
	return conn_delete(c, word);
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
