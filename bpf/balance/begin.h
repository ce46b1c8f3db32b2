/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* begin.h - what is found out once about each packet on the full path. */
#ifndef WEIR_BALANCE_BEGIN_H
#define WEIR_BALANCE_BEGIN_H

#include "base/bpf.h"
#include "base/clock.h"
#include "service/director.h"
#include "verdict/work.h"

/* begin notes when the path of the packet in w begins, and who sent its frame. */
static INLINE void begin(struct work *w)
{
	w->now = tick();
	w->origin = origin_of(&w->packet);
}

#endif
