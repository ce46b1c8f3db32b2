/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * table.h - the table of a service, which Go lays out (internal/sched) and abi.h
 * describes.
 */
#ifndef WEIR_SCHED_TABLE_H
#define WEIR_SCHED_TABLE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* table_of is the service's table, or NULL. */
static INLINE void *table_of(__u32 service)
{
	return bpf_map_lookup_elem(&tables, &service);
}

/* table_row is a row of the table, or NULL behind the last. */
static INLINE struct row *table_row(void *table, __u32 n)
{
	return bpf_map_lookup_elem(table, &n);
}

/* table_at is a word of the table, or NULL behind the last. */
static INLINE __u64 *table_at(void *table, __u32 at)
{
	struct row *r = table_row(table, at / ROW_WORDS);

	return r ? &r->word[at % ROW_WORDS] : NULL;
}

/* slots_from is how many slots there are from the table's n-th row of slots on, which may be more than a row has. */
static INLINE __u32 slots_from(void *table, __u32 n)
{
	__u64 *length = table_at(table, TABLE_LENGTH);

	return length && n * ROW_WORDS < *length ? *length - n * ROW_WORDS : 0;
}

/* slots_row is the n-th row of the service's slots, or NULL behind the last. It sets slots to slots_from. */
static INLINE struct row *slots_row(__u32 service, __u32 n, __u32 *slots)
{
	void *table = table_of(service);

	*slots = table ? slots_from(table, n) : 0;
	return *slots ? table_row(table, TABLE_SLOTS / ROW_WORDS + n) : NULL;
}

/* The most servers in a list, and slots in a table (sched.MaxSlots in Go). */
#define MAX_TURNS 65536
#define MAX_ROWS (MAX_TURNS / ROW_WORDS)

/* A choice of a server under way, for bpf_loop. */
struct pick {
	__u32 service, scheduler;
	__u32 server; /* the best server so far, or NO_SERVER */
	__u32 weight; /* the weight of that server */
	__u64 load;   /* the load of that server, as the scheduler counts it */
};

#endif
