/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sweep.h - the sweep deletes connections and templates whose time-out has run out.
 * Go calls it (weir_sweep, weir_sweep_templates).
 */
#ifndef WEIR_CONN_SWEEP_H
#define WEIR_CONN_SWEEP_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/entry.h"
#include "conn/slots.h"
#include "conn/template.h"
#include "conn/template_expiry.h"
#include "conn/word.h"
#include "parse/address.h"

/*
 * sweep_mark_server records that a connection or template refers to the server, so that
 * Go does not reuse its index.
 */
static INLINE void sweep_mark_server(__u32 index, const struct sweep *s)
{
	struct server *server = bpf_map_lookup_elem(&servers, &index);

	if (server)
		server->swept = s->epoch;
}

/*
 * server_expires_conns says whether the server was removed, and its connections and
 * templates expire with it (expire_nodest_conn).
 */
static INLINE bool server_expires_conns(__u32 index)
{
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	return s && s->flags & SERVER_EXPIRES;
}

/*
 * sweep_due looks at a connection that is due, and ends it if it has expired. It is a global
 * function, so that the verifier goes through it once. Its result means nothing.
 */
__noinline int sweep_due(__u32 place, struct sweep *s)
{
	struct conn *c = conn_at(place);
	__u32 state;
	__u64 word;

	if (!c || !s)
		return 0;
	word = c->word;
	state = conn_state(word);
	if (!conn_lives(word))
		return 0;
	if ((conn_expired(c, state, s->now) || server_expires_conns(conn_server(word))) && conn_remove(c, word)) {
		s->expired++;
		return 0;
	}
	/* A CPU that changes the state meanwhile sets its due tick after this, or is seen here. */
	__sync_lock_test_and_set(&c->due, conn_due(state, c->stamp));
	if (c->word != word)
		c->due = s->now;
	s->live++;
	sweep_mark_server(conn_server(word), s);
	return 0;
}

/* sweep_slot looks at one slot. False: there are no more. */
static INLINE bool sweep_slot(__u32 at, struct sweep *s)
{
	struct conn *c = slot_at(at);
	__u64 word;

	if (!c)
		return false;
	word = c->word;
	if (!conn_lives(word))
		return true;
	s->end = at + 1;
	if (s->all || (__s32)(s->now - c->due) >= 0) {
		s->due++;
		sweep_due(at + 1, s);
		return true;
	}
	s->live++;
	sweep_mark_server(conn_server(word), s);
	return true;
}

/*
 * Entries that are looked at in one call of the loop's function, since a call costs more
 * than a look at an entry; and how many due entries one call of weir_sweep handles, more
 * or less (sweepDue in Go).
 */
#define ENTRIES_PER_TURN 16
#define SWEEP_DUE 512

/* sweep_some looks at ENTRIES_PER_TURN entries, for bpf_loop. */
static long sweep_some(__u32 turn, struct sweep *s)
{
	for (__u32 i = 0; i < ENTRIES_PER_TURN; i++)
		if (!sweep_slot(s->first + turn * ENTRIES_PER_TURN + i, s))
			return 1;
	return s->due >= SWEEP_DUE;
}

/*
 * sweep_template looks at a template whose expiry entry is due, and deletes the template if
 * its time-out has run out. One with another at the next place stays as a free place, since
 * a search ends at the first place without a template. It is a global function, as sweep_due
 * is. Its result means nothing.
 */
__noinline int sweep_template(__u32 place, struct sweep *s)
{
	struct template_entry *e = template_entry_at(place);
	struct template *t;
	__u32 taken, index;

	if (!e || !s)
		return 0;
	taken = e->taken;
	if (!taken)
		return 0;
	t = bpf_map_lookup_elem(&templates, &e->key);
	if (!t || t->expiry >> TEMPLATE_PLACE_SHIFT != place) {
		__sync_val_compare_and_swap(&e->taken, taken, taken & TEMPLATE_ORPHAN ? 0 : taken | TEMPLATE_ORPHAN);
		return 0;
	}
	index = t->server;
	if (!template_expired(t, s->now) && !server_expires_conns(index)) {
		s->live++;
		sweep_mark_server(index, s);
		__sync_val_compare_and_swap(&e->taken, taken, index + 1);
		e->due = t->stamp + t->timeout + 1;
	} else if (template_has_next(&e->key)) {
		s->live++;
		template_set_server(t, index, TEMPLATE_EXPIRED);
		__sync_val_compare_and_swap(&e->taken, taken, TEMPLATE_NOBODY);
		e->due = s->now; /* each sweep looks whether it is the last one now */
	} else if (template_set_server(t, index, TEMPLATE_DELETING)) {
		bpf_map_delete_elem(&templates, &e->key);
		e->taken = 0;
		s->expired++;
	}
	return 0;
}

/* sweep_template_entry looks at one expiry entry. False: there are no more. */
static INLINE bool sweep_template_entry(__u32 at, struct sweep *s)
{
	struct template_entry *e = template_entry_at(at + 1);
	__u32 taken;

	if (!e)
		return false;
	taken = e->taken;
	if (!taken)
		return true;
	if (s->all || (__s32)(s->now - e->due) >= 0) {
		s->due++;
		sweep_template(at + 1, s);
		return true;
	}
	s->live++;
	sweep_mark_server((taken & ~TEMPLATE_ORPHAN) - 1, s);
	return true;
}

/* sweep_some_templates is sweep_some for the templates. */
static long sweep_some_templates(__u32 turn, struct sweep *s)
{
	for (__u32 i = 0; i < ENTRIES_PER_TURN; i++)
		if (!sweep_template_entry(s->first + turn * ENTRIES_PER_TURN + i, s))
			return 1;
	return s->due >= SWEEP_DUE;
}

/*
 * list_template gives a template an expiry entry if it has none, for bpf_for_each_map_elem.
 * What it has may be another's: an entry of a table that has been replaced.
 */
static long list_template(void *map, struct template_key *key, struct template *t, struct sweep *s)
{
	struct template_entry *e = template_entry_of(t);
	__u32 before = t->expiry, place;
	struct template_key own; /* a function takes no key of a map by its address */

	if (e && e->taken && e->key.place == key->place && e->key.port == key->port && e->key.mark == key->mark &&
	    e->key.protocol == key->protocol && same_addr(&e->key.client, &key->client) && same_addr(&e->key.vip, &key->vip))
		return 0;
	/* It is due at once: the sweep finds out the rest. */
	own = *key;
	place = template_entry_take(&own, TEMPLATE_NOBODY - 1, s->now);
	if (!place)
		return 0;
	if (__sync_val_compare_and_swap(&t->expiry, before, (before & TEMPLATE_INVALID) | place << TEMPLATE_PLACE_SHIFT) !=
	    before)
		template_entry_release(place);
	s->live++;
	return 0;
}

#endif
