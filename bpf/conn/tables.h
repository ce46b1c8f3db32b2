/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tables.h - the tables of connections. The first is small and there from the start. Where
 * connections become many, Go makes another one, several times as large, and then the last:
 * none is ever moved from one to another. A flow's hash says which of them it enters, in
 * proportion to their sizes, so that two CPUs enter one flow into the same table; only where
 * that one is full it enters the next. So a flow is looked for in that table first, and then
 * in the others.
 */
#ifndef WEIR_CONN_TABLES_H
#define WEIR_CONN_TABLES_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_line.h"

#include <linux/errno.h>

/* conn_sizes_of is how large the tables are, or NULL, which never happens. */
static INLINE struct conn_sizes *conn_sizes_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&conn_sizes, &zero);
}

/* conn_place is the place of the connection's expiry entry, counted from 1; 0: it has none. */
static INLINE __u32 conn_place(const struct conn *c)
{
	return c->expiry & ((1U << CONN_TABLE_SHIFT) - 1);
}

/* conn_first_table is the index of the table that the flow enters while there is room. */
static INLINE __u32 conn_first_table(const struct conn_sizes *z, const struct flow_key *key)
{
	struct flow_knobs *n;
	__u32 part;

	if (z->second == CONN_PARTS)
		return 0;
	n = flow_knobs_of();
	part = n ? flow_hash(n, key) >> 48 : 0;
	return (part >= z->second) + (part >= z->third);
}

/* conn_next_table is the index of the table behind another one. */
static INLINE __u32 conn_next_table(__u32 at)
{
	return at + 1 < CONN_TABLES ? at + 1 : 0;
}

/* conn_find is the flow's entry, or NULL. */
static NOINLINE struct conn *conn_find(const struct flow_key *key)
{
	struct conn_sizes *z = conn_sizes_of();
	__u32 at;

	if (!z)
		return NULL;
	at = conn_first_table(z, key);
	for (__u32 turn = 0; turn < CONN_TABLES; turn++, at = conn_next_table(at)) {
		void *table = bpf_map_lookup_elem(&conn_tables, &at);
		struct conn *c = table ? bpf_map_lookup_elem(table, key) : NULL;

		if (c)
			return c;
		if (z->second == CONN_PARTS)
			break;
	}
	return NULL;
}

/*
 * conn_enter enters a connection that has no entry yet. It returns 0, or, as the kernel does, a
 * negative number: -EEXIST where the flow has an entry now, -E2BIG where all tables are full.
 */
static NOINLINE int conn_enter(const struct flow_key *key, struct conn *draft)
{
	struct conn_sizes *z = conn_sizes_of();
	int err = -E2BIG;
	__u32 at;

	if (!z)
		return err;
	at = conn_first_table(z, key);
	for (__u32 turn = 0; turn < CONN_TABLES; turn++, at = conn_next_table(at)) {
		void *table = bpf_map_lookup_elem(&conn_tables, &at);

		if (!table)
			continue;
		draft->expiry = conn_place(draft) | at << CONN_TABLE_SHIFT;
		err = bpf_map_update_elem(table, key, draft, BPF_NOEXIST);
		if (err != -E2BIG || z->second == CONN_PARTS)
			break;
	}
	return err;
}

/* conn_replace stores another connection in the place of one; 0 is success. */
static INLINE int conn_replace(const struct flow_key *key, const struct conn *old, struct conn *draft)
{
	__u32 at = old->expiry >> CONN_TABLE_SHIFT;
	void *table = bpf_map_lookup_elem(&conn_tables, &at);

	draft->expiry = conn_place(draft) | at << CONN_TABLE_SHIFT;
	return table ? bpf_map_update_elem(table, key, draft, BPF_ANY) : -ENOENT;
}

/* conn_erase deletes the flow's entry in the table where the connection stands. */
static INLINE void conn_erase(const struct flow_key *key, const struct conn *c)
{
	__u32 at = c->expiry >> CONN_TABLE_SHIFT;
	void *table = bpf_map_lookup_elem(&conn_tables, &at);

	if (table)
		bpf_map_delete_elem(table, key);
}

/* conn_erase_found deletes the flow's entry, wherever it stands. */
static NOINLINE void conn_erase_found(const struct flow_key *key)
{
	struct conn_sizes *z = conn_sizes_of();
	__u32 at;

	if (!z)
		return;
	at = conn_first_table(z, key);
	for (__u32 turn = 0; turn < CONN_TABLES; turn++, at = conn_next_table(at)) {
		void *table = bpf_map_lookup_elem(&conn_tables, &at);

		if ((table && !bpf_map_delete_elem(table, key)) || z->second == CONN_PARTS)
			return;
	}
}

#endif
