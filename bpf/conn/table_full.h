/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* table_full.h - when the connection table was last full. */
#ifndef WEIR_CONN_TABLE_FULL_H
#define WEIR_CONN_TABLE_FULL_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/*
 * conn_limits_of is the limits of the connection table (struct conn_limits), or NULL,
 * which never happens.
 */
static INLINE struct conn_limits *conn_limits_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&conn_limits, &zero);
}

/*
 * table_full_note remembers that the table was full now: from now on flows may be
 * without their entries.
 */
static INLINE void table_full_note(struct conn_limits *limits, __u32 now)
{
	__u32 tick = now ? now : 1;

	if (limits->full != tick)
		limits->full = tick;
}

/*
 * table_was_full says whether the table was full within the time-out of a state:
 * connections that were in this state may be without their entries.
 */
static INLINE bool table_was_full(__u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);
	struct conn_limits *limits = conn_limits_of();

	return limits && limit && limits->full && (__s32)(now - limits->full) <= (__s32)*limit;
}

#endif
