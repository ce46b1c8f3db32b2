/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tables.h - the tables of connections. The first is small and there from the start. Where
 * connections become many, Go makes another one, several times as large, and then the last. New
 * connections enter the newest, and the older ones only where it is full; none is moved. A flow is
 * looked for in the newest table first, and then in those older ones that may have connections:
 * Go finds out when the last has left one of them.
 */
#ifndef WEIR_CONN_TABLES_H
#define WEIR_CONN_TABLES_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

#include <linux/errno.h>

/* conn_place is the place of the connection's expiry entry, counted from 1; 0: it has none. */
static INLINE __u32 conn_place(const struct conn *c)
{
	return c->expiry & ((1U << CONN_TABLE_SHIFT) - 1);
}

/* conn_table_of is the index of the table that the connection stands in. */
static INLINE __u32 conn_table_of(const struct conn *c)
{
	return c->expiry >> CONN_TABLE_SHIFT;
}

/* conn_table is the table with this index, or NULL where connections are not looked for in it. */
static INLINE void *conn_table(__u32 at)
{
	if (at != conn_sizes.newest && !(conn_sizes.older >> (at & 31) & 1))
		return NULL;
	return bpf_map_lookup_elem(&conn_tables, &at);
}

/* conn_find is the flow's entry, or NULL. */
static NOINLINE struct conn *conn_find(const struct flow_key *key)
{
	for (__u32 turn = 0; turn < CONN_TABLES; turn++) {
		void *table = conn_table(conn_sizes.newest - turn);
		struct conn *c = table ? bpf_map_lookup_elem(table, key) : NULL;

		if (c || !conn_sizes.older)
			return c;
	}
	return NULL;
}

/* conn_wake wakes Go up, which looks at what has been asked (struct conn_limits). */
static INLINE void conn_wake(void)
{
	__u32 nothing = 0;

	bpf_ringbuf_output(&conn_wakes, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/*
 * conn_ask_older asks Go to have connections entered into older tables, once until the next sweep.
 */
static INLINE void conn_ask_older(void)
{
	if (conn_limits.refused || conn_sizes.older == (1U << (conn_sizes.newest & 31)) - 1)
		return;
	conn_limits.refused = 1;
	conn_wake();
}

/*
 * conn_enter enters a connection that has no entry yet. It returns 0, or, as the kernel does, a
 * negative number: -EEXIST where the flow has an entry now, -E2BIG where all tables are full.
 */
static NOINLINE int conn_enter(const struct flow_key *key, struct conn *draft)
{
	int err = -E2BIG;

	for (__u32 turn = 0; turn < CONN_TABLES; turn++) {
		__u32 at = conn_sizes.newest - turn;
		void *table = conn_table(at);

		if (!table)
			continue;
		draft->expiry = conn_place(draft) | at << CONN_TABLE_SHIFT;
		err = bpf_map_update_elem(table, key, draft, BPF_NOEXIST);
		if (err != -E2BIG)
			return err;
	}
	conn_ask_older();
	return err;
}

/* conn_replace stores another connection in the place of one; 0 is success. */
static INLINE int conn_replace(const struct flow_key *key, const struct conn *old, struct conn *draft)
{
	__u32 at = conn_table_of(old);
	void *table = bpf_map_lookup_elem(&conn_tables, &at);

	draft->expiry = conn_place(draft) | at << CONN_TABLE_SHIFT;
	return table ? bpf_map_update_elem(table, key, draft, BPF_ANY) : -ENOENT;
}

/* conn_erase deletes the flow's entry in the table where the connection stands. */
static INLINE void conn_erase(const struct flow_key *key, const struct conn *c)
{
	__u32 at = conn_table_of(c);
	void *table = bpf_map_lookup_elem(&conn_tables, &at);

	if (table)
		bpf_map_delete_elem(table, key);
}

/* conn_erase_found deletes the flow's entry, wherever it stands. */
static NOINLINE void conn_erase_found(const struct flow_key *key)
{
	for (__u32 turn = 0; turn < CONN_TABLES; turn++) {
		void *table = conn_table(conn_sizes.newest - turn);

		if (table && !bpf_map_delete_elem(table, key))
			return;
	}
}

#endif
