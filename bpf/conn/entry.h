/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* entry.h - a connection: begin it, advance its state, end it. */
#ifndef WEIR_CONN_ENTRY_H
#define WEIR_CONN_ENTRY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_invalidate.h"
#include "conn/half_open.h"
#include "conn/index.h"
#include "conn/slots.h"
#include "conn/table_full.h"
#include "conn/tcp_state.h"
#include "conn/template.h"
#include "conn/word.h"
#include "parse/packet.h"
#include "service/load.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * conn_expired says whether the connection was idle for longer than its state's
 * time-out. It asks the flow cache last.
 */
static INLINE bool conn_expired(struct conn *c, __u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	if (slot_sizes.older & OLDER_KEEP)
		return false;
	return limit && (__s32)(now - c->stamp) > (__s32)*limit && !flow_recently_used(c, now, *limit);
}

/*
 * conn_advance stamps the connection and moves it to the state that the packet leads to.
 * If another CPU changes the word first, that change stands and this one is left out.
 */
static INLINE void conn_advance(struct conn *c, __u64 word, const struct packet *p, __u32 now, enum direction d)
{
	__u32 state = conn_state(word), next;
	__u64 fresh;

	if (c->stamp != now)
		c->stamp = now;
	if (p->protocol != IPPROTO_TCP)
		return;
	next = tcp_next(d, state, p->tcp_flags);
	if (next == state)
		return;
	fresh = conn_word_to(word, next);
	if (__sync_val_compare_and_swap(&c->word, word, fresh) != word)
		return;
	c->due = conn_due(next, now);
	load_move(conn_server(word), state, next);
	half_open_move(c->place, fresh, state, next);
	flow_invalidate(c, word);
}

/*
 * conn_count_out takes a connection out of all counts, and drops what depends on it.
 * Only the CPU that has won the connection's word calls it, with the word before.
 */
static INLINE void conn_count_out(struct conn *c, __u64 word)
{
	load_add(conn_server(word), conn_state(word), -1);
	half_open_move(0, 0, conn_state(word), STATE_GONE);
	template_count_conn(&c->template, -1);
	flow_invalidate(c, word);
	if (c->route.ifindex)
		index_leave(c->answers, c->place | REF_ANSWERS);
}

/* conn_count_in adds a new connection, with this word, to all counts. */
static INLINE void conn_count_in(struct work *w, const struct conn *c, __u64 word)
{
	load_add(conn_server(word), conn_state(word), 1);
	if (conn_state(word) == STATE_SYN_RECV)
		half_open_enter(c->place, word);
	template_count_conn(&w->template, 1);
}

/* twin_word is the word of another CPU's connection with this key, or one of STATE_GONE where it has ended. */
static INLINE __u64 twin_word(__u32 place, const struct flow_key *key)
{
	struct conn *c = place ? conn_at(place) : NULL;
	__u64 word = c ? *(volatile __u64 *)&c->word : 0;

	if (!c || (!conn_lives(word) && conn_state(word) != STATE_NEW) || !same_flow(&c->key, key))
		return conn_word_to(0, STATE_GONE);
	return word;
}

/*
 * answers_taken says whether a connection has packets, or answers, with the key of the answers to the
 * packet's new connection: the server has one with the same client's port for another virtual
 * address. One of the same flow is another CPU's, which begins it as well.
 */
static INLINE bool answers_taken(const struct work *w)
{
	__u64 word, found = index_seek(w->answers, &w->reply_key, 0);
	struct conn *other = found_conn(found, &word);

	return other && !(found_answers(found) && same_flow(&other->key, &w->packet.key));
}

/* conn_leave drops what there is of a new connection's references, and frees its slot, whose word is this. */
static INLINE void conn_leave(const struct work *w, struct conn *c, __u64 word)
{
	index_leave(w->hash, c->place);
	if (w->answered)
		index_leave(w->answers, c->place | REF_ANSWERS);
	slot_free(c, word);
}

/*
 * conn_insert begins a connection of the packet's flow, of w->service and w->method, with this
 * server, and with answers to it if w->answered. It sets *word to the one that the flow has now: its
 * own; or another CPU's where that one was faster, or one of STATE_GONE where that connection has
 * ended again. It returns REASON_NONE; DROP_COLLISION (answers_taken); or DROP_TABLE_FULL, which it
 * counts as NOTE_TABLE_FULL.
 */
static NOINLINE enum reason conn_insert(struct work *w, __u32 server, __u32 state, __u64 *word)
{
	const struct flow_key *key = &w->packet.key;
	__u64 claimed, fresh, twin;
	int flow, answers;
	struct conn *c;
	__u32 place;
	bool taken;

	place = slot_claim(w->freed);
	w->freed = 0;
	c = conn_at(place);
	if (!c)
		goto full;
	claimed = conn_word_of(c->word, w->method, STATE_NEW, server);
	fresh = conn_word_to(claimed, state);
	c->key = *key;
	c->service = w->service;
	c->stamp = w->now;
	c->due = conn_due(state, w->now);
	c->cached = 0;
	if (w->template.place)
		c->template = w->template;
	else
		c->template.place = 0;
	c->route.ifindex = 0;
	if (w->answered) {
		c->route = w->reply_route;
		c->answers = w->answers;
	}
	c->place = place;
	__sync_lock_test_and_set(&c->word, claimed);
	flow = index_enter(w->hash, place);
	answers = w->answered ? index_enter(w->answers, place | REF_ANSWERS) : INDEX_ALONE;
	if (!flow || !answers) {
		conn_leave(w, c, claimed);
		goto full;
	}
	twin = flow == INDEX_BESIDE ? index_seek(w->hash, key, place) : 0;
	taken = !twin && answers == INDEX_BESIDE && answers_taken(w);
	if (!twin && !taken && __sync_val_compare_and_swap(&c->word, claimed, fresh) == claimed) {
		conn_count_in(w, c, fresh);
		*word = fresh;
		return REASON_NONE;
	}
	conn_leave(w, c, claimed);
	if (taken)
		return DROP_COLLISION;
	/* Another CPU was faster, or has ended this one: its connection has the lower place. */
	*word = twin_word(found_place(twin ? twin : index_seek(w->hash, key, place)), key);
	return REASON_NONE;
full:
	note(NOTE_TABLE_FULL);
	table_full_note(w->now);
	return DROP_TABLE_FULL;
}

/*
 * conn_remove ends a connection whose word was read. It returns false where another CPU has
 * changed the word first; that CPU then counts.
 */
static INLINE bool conn_remove(struct conn *c, __u64 word)
{
	__u64 gone = conn_gone_word(word);

	if (conn_state(word) == STATE_GONE) /* another CPU ends it, and has counted it out */
		return false;
	if (__sync_val_compare_and_swap(&c->word, word, gone) != word)
		return false;
	conn_count_out(c, word);
	index_leave(index_hash(&c->key), c->place);
	slot_free(c, gone);
	return true;
}

/* conn_delete is conn_remove as a function of its own. */
static NOINLINE bool conn_delete(struct conn *c, __u64 word)
{
	return conn_remove(c, word);
}

#endif
