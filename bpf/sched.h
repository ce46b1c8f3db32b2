/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* sched.h - which server a new connection gets. */
#ifndef WEIR_SCHED_H
#define WEIR_SCHED_H

/*
 * sched_table takes the next slot of the service's table, which internal/sched
 * has laid out. Cursor and slots are in one map, so that a new table and its
 * cursor come into force together.
 */
static INLINE __u32 sched_table(const struct service *svc)
{
	__u32 index = svc->index, at = TABLE_CURSOR;
	__u64 *cursor, *length, *slot;
	void *table;

	table = bpf_map_lookup_elem(&tables, &index);
	if (!table)
		return NO_SERVER;
	cursor = bpf_map_lookup_elem(table, &at);
	at = TABLE_LENGTH;
	length = bpf_map_lookup_elem(table, &at);
	if (!cursor || !length || !*length)
		return NO_SERVER;
	at = TABLE_SLOTS + __sync_fetch_and_add(cursor, 1) % *length;
	slot = bpf_map_lookup_elem(table, &at);
	return slot ? *slot : NO_SERVER;
}

#endif
