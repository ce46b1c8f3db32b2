/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* clock.h - the clock of all stamps and time-outs. */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/*
 * tick is the time now, in ticks: the coarse monotonic clock in units of 2^TICK_SHIFT
 * ns, exact to a jiffy. It is 0 until Go has set the clock (weir_jiffies). A program
 * reads jiffies without a call, at a tenth of the cost of the clock itself. Two ticks
 * are compared by their difference as a signed number, since ticks wrap around.
 */
static INLINE __u32 tick(void)
{
	return (bpf_jiffies64() - clocks.first) * clocks.jiffy >> TICK_SHIFT;
}

#endif
