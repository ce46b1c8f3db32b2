/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* table_full.h - when the connection table was last full. */
#ifndef WEIR_CONN_TABLE_FULL_H
#define WEIR_CONN_TABLE_FULL_H

#include "base/bpf.h"
#include "base/maps.h"

/*
 * table_full_note remembers that the table was full now: from now on flows may be
 * without their entries.
 */
static INLINE void table_full_note(__u32 now)
{
	__u32 tick = now ? now : 1;

	if (conn_limits.full != tick)
		conn_limits.full = tick;
}

/*
 * table_was_full says whether the table was full within the time-out of a state:
 * connections that were in this state may be without their entries.
 */
static INLINE bool table_was_full(__u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit && conn_limits.full && (__s32)(now - conn_limits.full) <= (__s32)*limit;
}

#endif
