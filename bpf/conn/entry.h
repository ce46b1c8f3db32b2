/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* entry.h - a connection entry: insert it, advance its state, delete it. */
#ifndef WEIR_CONN_ENTRY_H
#define WEIR_CONN_ENTRY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/expiry.h"
#include "conn/flow_invalidate.h"
#include "conn/half_open.h"
#include "conn/reply_key.h"
#include "conn/table_full.h"
#include "conn/tables.h"
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
static INLINE bool conn_expired(const struct flow_key *key, struct conn *c, __u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit && (__s32)(now - c->stamp) > (__s32)*limit && !flow_recently_used(key, c, now, *limit);
}

/*
 * conn_advance stamps the connection and moves it to the state that the packet leads to.
 * If another CPU changes the word first, that change stands and this one is left out.
 */
static INLINE void conn_advance(const struct flow_key *key, struct conn *c, __u64 word,
				const struct packet *p, __u32 now, enum direction d)
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
	expiry_set_state(c, next, now);
	load_move(conn_server(word), state, next);
	half_open_move(conn_place(c), fresh, state, next);
	flow_invalidate(key, c, word);
}

/* delete_reply deletes the entry of the connection's other direction, if there is one. */
static INLINE void delete_reply(const struct flow_key *key, __u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	struct flow_key reply;

	if (!s || !conn_has_reply(word))
		return;
	reply_key(&reply, key, s, conn_method(word));
	conn_erase_found(&reply);
}

/*
 * conn_count_out takes a connection out of all counts, and deletes what depends on it.
 * Only the CPU that has won the connection's word calls it, with the word before.
 */
static INLINE void conn_count_out(const struct flow_key *key, struct conn *c, __u64 word)
{
	load_add(conn_server(word), conn_state(word), -1);
	half_open_move(0, 0, conn_state(word), STATE_GONE);
	template_count_conn(&c->of.template, -1);
	flow_invalidate(key, c, word);
	delete_reply(key, word);
}

/* conn_new_draft is a connection that is about to be inserted, in w->draft. */
static INLINE struct conn *conn_new_draft(struct work *w, __u64 word, __u32 service, __u32 now)
{
	struct conn *c = &w->draft;

	__builtin_memset(c, 0, sizeof(*c));
	c->word = word;
	c->service = service;
	c->stamp = now;
	return c;
}

/*
 * conn_count_in adds a new connection, with this word and the expiry entry at this place,
 * to all counts.
 */
static INLINE void conn_count_in(struct work *w, __u32 expiry, __u64 word)
{
	load_add(conn_server(word), conn_state(word), 1);
	if (conn_state(word) == STATE_SYN_RECV)
		half_open_enter(expiry, word);
	template_count_conn(&w->template, 1);
}

/*
 * conn_insert enters the packet's flow, of w->service and w->method, with this server:
 * as a new entry, or in an old entry that has expired or closed (old, with the word that
 * was read). It returns the word that the flow has now: its own, another CPU's where
 * that one was faster, one of STATE_GONE where the entry is being deleted, or 0 where
 * the table is full, which it counts as NOTE_TABLE_FULL.
 */
static NOINLINE __u64 conn_insert(struct work *w, struct conn *old, __u64 word, __u32 server, __u32 state)
{
	struct packet *p = &w->packet;
	__u32 now = w->now, method = w->method;
	/* A random incarnation hardly ever equals the last one of the same memory. */
	__u64 before = old ? word : (__u64)bpf_get_prandom_u32() << WORD_INCARNATION_SHIFT;
	__u64 fresh = conn_word(before, method, state, server);
	struct conn *draft;

	if (old) {
		__u64 was;

		/* The stamp comes first, so that no sweep takes the new connection for the old. */
		old->stamp = now;
		was = __sync_val_compare_and_swap(&old->word, word, fresh);
		if (was != word)
			return was;
		expiry_reuse(old, server, state, now);
		old->service = w->service;
		conn_count_out(&p->key, old, word);
		old->of.template = w->template;
		conn_count_in(w, conn_place(old), fresh);
		return fresh;
	}
	draft = conn_new_draft(w, fresh, w->service, now);
	draft->of.template = w->template;
	draft->expiry = expiry_take(&p->key, server, expiry_due(state, now));
	if (draft->expiry && !conn_enter(&p->key, draft)) {
		conn_count_in(w, conn_place(draft), fresh);
		return fresh;
	}
	expiry_release(conn_place(draft));
	old = conn_find(&p->key);
	if (old)
		return old->word;
	note(NOTE_TABLE_FULL);
	table_full_note(now);
	return 0;
}

/*
 * conn_remove deletes a connection whose word was read. It returns false where another
 * CPU has changed the word first; that CPU then counts. The key is none of an expiry entry:
 * once that is released, another connection's key may be written there.
 */
static INLINE bool conn_remove(const struct flow_key *key, struct conn *c, __u64 word)
{
	if (conn_state(word) == STATE_GONE) /* another CPU deletes it, and has counted it out */
		return false;
	if (__sync_val_compare_and_swap(&c->word, word, conn_gone_word(word)) != word)
		return false;
	conn_count_out(key, c, word);
	expiry_release(conn_place(c));
	conn_erase(key, c);
	return true;
}

/* conn_delete is conn_remove as a function of its own. */
static NOINLINE bool conn_delete(const struct flow_key *key, struct conn *c, __u64 word)
{
	return conn_remove(key, c, word);
}

#endif
