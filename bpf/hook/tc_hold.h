/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tc_hold.h - the ring of fragments that wait for their first. */
#ifndef WEIR_HOOK_TC_HOLD_H
#define WEIR_HOOK_TC_HOLD_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "slow/fragment.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* How often another CPU may be faster to enter a fragment that has to wait. */
#define HOLD_TRIES 4

/*
 * held_fits says whether a fragment of so many bytes can be held. It makes two
 * comparisons, since the verifier of Linux 6.1 does not follow what becomes of one.
 */
static INLINE bool held_fits(__u32 *bytes)
{
	if (*bytes < sizeof(struct ethhdr))
		return false;
	asm volatile("" : "+r"(*bytes));
	return *bytes <= HELD_BYTES;
}

/*
 * skb_hold puts a fragment into the ring of those that wait for their first. It returns
 * the verdict on the skb: DROP; PASS where the fragment cannot be held, which counts
 * PASS_FRAGMENT; or HOLD where the first has come meanwhile.
 */
__noinline int skb_hold(struct __sk_buff *skb)
{
	__u32 at, bytes = skb->len;
	__u64 turn, word;
	struct work *w = work_of();
	struct fragment *f;
	struct held *h;

	if (!w || !held_fits(&bytes))
		return pass(PASS_FRAGMENT);
	turn = __sync_fetch_and_add(&held_turns, 1) + 1;
	at = turn % MAX_HELD;
	h = bpf_map_lookup_elem(&held_fragments, &at);
	f = fragment_waiting(w);
	if (!h || !f)
		return pass(PASS_FRAGMENT);
	h->turn = 0;
	h->bytes = bytes;
	if (bpf_skb_load_bytes(skb, 0, h->frame, bytes))
		return pass(PASS_FRAGMENT);
	for (int i = 0; i < HOLD_TRIES; i++) {
		word = *(volatile __u64 *)&f->word;
		if (word == FRAGMENT_KNOWN)
			return HOLD;
		h->next = word;
		__sync_lock_test_and_set(&h->turn, turn);
		if (__sync_val_compare_and_swap(&f->word, word, turn) == word) {
			note(NOTE_FRAGMENT_HELD);
			return DROP;
		}
	}
	return pass(PASS_FRAGMENT);
}

/*
 * skb_held makes the skb the fragment that w->waiting names, and w->waiting the one that
 * came before that. False: there is none.
 */
static INLINE bool skb_held(struct __sk_buff *skb, struct work *w)
{
	__u64 turn = w->waiting;
	__u32 at = turn % MAX_HELD, bytes;
	struct held *h = bpf_map_lookup_elem(&held_fragments, &at);

	w->waiting = 0;
	if (!turn || !h || h->turn != turn)
		return false;
	bytes = h->bytes;
	if (!held_fits(&bytes) || bpf_skb_change_tail(skb, bytes, 0) ||
	    bpf_skb_store_bytes(skb, 0, h->frame, bytes, 0))
		return false;
	w->waiting = h->next;
	return *(volatile __u64 *)&h->turn == turn; /* false: another fragment has taken its place */
}

#endif
