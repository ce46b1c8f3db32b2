/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * template_expiry.h - the expiry entries of the templates: when each may expire, in
 * a table that is small until there are many templates. Go makes it, and replaces it by a larger one. A template for which no entry is free gets none;
 * it is counted, and weir_list_templates gives it one once the table is larger.
 */
#ifndef WEIR_CONN_TEMPLATE_EXPIRY_H
#define WEIR_CONN_TEMPLATE_EXPIRY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* How many entries are tried. */
#define TEMPLATE_TRIES 32

/* The flag of an entry without a template, in template_entry.taken. */
#define TEMPLATE_ORPHAN (1U << 31)

/* The entry of a template that counts for no server, in template_entry.taken. */
#define TEMPLATE_NOBODY 0x7fffffff

/* A search for a free entry, for bpf_loop. */
struct template_entry_search {
	const struct template_key *key;
	__u32 server, due;
	__u32 place; /* of the entry that was taken, counted from 1, or 0 */
};

/* template_entry_at is the entry at this place, counted from 1, or NULL. */
static INLINE struct template_entry *template_entry_at(__u32 place)
{
	__u32 zero = 0, at = place - 1;
	void *table = bpf_map_lookup_elem(&template_entries, &zero);

	return table && place ? bpf_map_lookup_elem(table, &at) : NULL;
}

/* template_entry_of is the template's entry, or NULL. */
static INLINE struct template_entry *template_entry_of(const struct template *t)
{
	return template_entry_at(t->expiry >> TEMPLATE_PLACE_SHIFT);
}

/*
 * template_entry_try tries to take the next entry. Tries go through the table by large steps, not one
 * by one: of a table that has been copied from a full one the front is full.
 */
static long template_entry_try(__u32 turn, struct template_entry_search *s)
{
	struct template_entry *e;
	__u32 first, n, place;

	first = *(volatile __u32 *)&template_tables.first;
	n = *(volatile __u32 *)&template_tables.entries;
	if (n <= first)
		return 1;
	place = first + __sync_fetch_and_add(&template_tables.cursor, 1) * GOLDEN_32 % (n - first) + 1;
	e = template_entry_at(place);
	if (!e)
		return 1;
	if (e->taken || __sync_val_compare_and_swap(&e->taken, 0, s->server + 1) != 0)
		return 0;
	e->key = *s->key;
	e->due = s->due;
	s->place = place;
	return 1;
}

/*
 * template_entry_take takes an entry for the template with this key. It returns the entry's
 * place, counted from 1, or counts the template and returns 0 where none was free. It is a
 * global function, so that it is verified once.
 */
__noinline __u32 template_entry_take(const struct template_key *key, __u32 server, __u32 due)
{
	struct template_entry_search s = { .key = key, .server = server, .due = due };

	if (!key)
		return 0;
	bpf_loop(TEMPLATE_TRIES, template_entry_try, &s, 0);
	if (!s.place)
		__sync_fetch_and_add(&template_tables.unlisted, 1);
	return s.place;
}

/* template_entry_release frees an entry. Place 0 is none. */
static INLINE void template_entry_release(__u32 place)
{
	struct template_entry *e = template_entry_at(place);

	if (e)
		e->taken = 0;
}

/* template_entry_reuse gives the template's entry to another server. */
static INLINE void template_entry_reuse(const struct template *t, __u32 server, __u32 due)
{
	struct template_entry *e = template_entry_of(t);

	if (!e)
		return;
	e->taken = server + 1;
	e->due = due;
}

#endif
