/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * older.h - connections of an older build, which had them in hash tables. Its programs forward by
 * those tables on the devices that do not have the programs of this build yet. On one that has, a
 * connection is taken over with its first packet; and when all have, Go goes through the rest
 * (weir_take_older). Loads, templates and the number of half-open connections count it already.
 *
 * A connection that has been taken over stays in the older table, with a flag, and is not taken over
 * again: the older build's programs on other devices still forward its packets. They find it in
 * STATE_CLOSE, which no packet but a SYN changes, so that they count nothing a second time.
 */
#ifndef WEIR_CONN_OLDER_H
#define WEIR_CONN_OLDER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "conn/index.h"
#include "conn/reply_key.h"
#include "conn/slots.h"
#include "conn/word.h"
#include "parse/address.h"
#include "service/server.h"

/* The state of an entry for answers. */
#define OLDER_REPLY STATE_NEW

/* Who is late waits for so many looks, some microseconds, until another CPU has taken a connection over. */
#define OLDER_TRIES 256

/* How often the state of a connection may change while it is read. */
#define OLDER_CHANGES 4

/* older_find is the entry with this key in the older tables, or NULL. Newer entries are in later tables. */
static NOINLINE struct older_conn *older_find(const struct flow_key *key)
{
	for (__u32 turn = 1; turn <= OLDER_TABLES; turn++) {
		__u32 at = OLDER_TABLES - turn;
		void *table = bpf_map_lookup_elem(&older_tables, &at);
		struct older_conn *c = table ? bpf_map_lookup_elem(table, key) : NULL;

		if (c)
			return c;
	}
	return NULL;
}

/* older_reply_to says whether an entry is for the answers to the connection with this key. */
static INLINE bool older_reply_to(const struct older_conn *reply, const struct flow_key *key)
{
	return conn_state(reply->word) == OLDER_REPLY && reply->of.reply.ports == key->ports &&
	       same_addr(&reply->of.reply.vip, &key->to);
}

/* older_enter_answers enters the answers to a connection that is being taken over. False: there is no room. */
static INLINE bool older_enter_answers(struct conn *c, __u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	struct older_conn *reply;
	struct flow_key key;

	if (!s || !needs_reply(s, conn_method(word)))
		return true;
	reply_key(&key, &c->key, s, conn_method(word));
	reply = older_find(&key);
	if (!reply || !older_reply_to(reply, &c->key))
		return true;
	c->route = reply->of.reply.route;
	c->answers = index_hash(&key);
	return index_enter(c->answers, c->place | REF_ANSWERS);
}

/*
 * older_enter has a connection with this key, whose word was this, begin in a slot as it is in the
 * older table. False: there is no room.
 */
static NOINLINE bool older_enter(const struct older_conn *older, __u64 word, const struct flow_key *key)
{
	__u32 place = slot_claim(0);
	struct conn *c = conn_at(place);
	__u64 claimed;

	if (!c)
		return false;
	claimed = conn_word_of(c->word, conn_method(word), STATE_NEW, conn_server(word));
	c->key = *key;
	c->service = older->service;
	c->stamp = older->stamp;
	c->due = tick(); /* the sweep finds out the rest */
	c->cached = ~0U; /* the older build may have given it lines on any CPU */
	c->template = older->of.template;
	c->route.ifindex = 0;
	c->place = place;
	__sync_lock_test_and_set(&c->word, claimed);
	if (index_enter(index_hash(key), place)) {
		if (older_enter_answers(c, word)) {
			__sync_lock_test_and_set(&c->word, conn_word_to(claimed, conn_state(word)));
			return true;
		}
		index_leave(index_hash(key), place);
	}
	slot_free(c, claimed);
	return false;
}

/*
 * older_close has the older build's programs find a connection in STATE_CLOSE, and returns its word
 * before; 0: it has ended. Those programs may change the state meanwhile.
 */
static INLINE __u64 older_close(struct older_conn *c)
{
	for (__u32 turn = 0; turn < OLDER_CHANGES; turn++) {
		__u64 word = *(volatile __u64 *)&c->word;
		__u32 state = conn_state(word);

		if (!conn_lives(word))
			return 0;
		if (state == STATE_UDP || __sync_val_compare_and_swap(&c->word, word, conn_word_to(word, STATE_CLOSE)) == word)
			return word;
	}
	return 0;
}

/* A look for a connection that another CPU is taking over, for bpf_loop. */
struct older_wait {
	const struct flow_key *key;
	__u64 found;
};

static long older_wait_one(__u32 turn, struct older_wait *wait)
{
	wait->found = conn_look(wait->key);
	return !!wait->found;
}

/*
 * older_take takes over the connection that packets with this key belong to, in either direction.
 * It returns what conn_look would then (found_of), or 0 where there is no such connection. It is a
 * global function, which the verifier goes through once.
 */
__noinline __u64 older_take(const struct flow_key *key)
{
	struct older_wait wait = { .key = key };
	struct older_conn *c;
	struct flow_key client;
	__u32 expiry;
	__u64 word;

	if (!key)
		return 0;
	client = *key; /* Linux 6.1 looks for no key that is elsewhere than on the stack */
	c = older_find(&client);
	if (c && conn_state(c->word) == OLDER_REPLY) {
		const struct conn_reply *r = &c->of.reply;

		client.from = reply_to_vip(&r->route) ? r->vip : key->to;
		client.to = r->vip;
		client.ports = r->ports;
		c = older_find(&client);
	}
	if (!c || !conn_lives(c->word))
		return 0;
	expiry = c->expiry;
	if (expiry >> OLDER_TABLE_SHIFT == OLDER_TABLES ||
	    __sync_val_compare_and_swap(&c->expiry, expiry, expiry | OLDER_TABLES << OLDER_TABLE_SHIFT) != expiry) {
		bpf_loop(OLDER_TRIES, older_wait_one, &wait, 0);
		return wait.found;
	}
	word = older_close(c);
	if (word && older_enter(c, word, &client)) {
		c->stamp = tick(); /* STATE_CLOSE does not last long */
		return conn_look(key);
	}
	if (word)
		c->word = word;
	c->expiry = expiry;
	return 0;
}

/* conn_seek is conn_look for a key of this hash, with what is still to be taken over. */
static INLINE __u64 conn_seek(__u32 hash, const struct flow_key *key)
{
	__u64 found = index_seek(hash, key, 0);

	if (!found && slot_sizes.older & OLDER_LOOK)
		found = older_take(key);
	return found;
}

#endif
