/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* clock.h - the time of stamps. */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/*
 * tick is the time of stamps: the coarse monotonic clock in units of 1 << TICK_SHIFT
 * ns, give or take a jiffy. The kernel has a program read jiffies without a call, which
 * costs a tenth of what the clock itself does.
 */
static INLINE __u32 tick(void)
{
	__u32 zero = 0;
	struct clock *c = bpf_map_lookup_elem(&clocks, &zero);

	return c ? (bpf_jiffies64() - c->first) * c->jiffy >> TICK_SHIFT : 0;
}

#endif
