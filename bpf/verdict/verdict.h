/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* verdict.h - the decision on a packet, and the counters of reasons. */
#ifndef WEIR_VERDICT_VERDICT_H
#define WEIR_VERDICT_VERDICT_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* What is to be done with a packet. The hook carries it out. */
enum verdict {
	PASS,         /* it goes up the local stack, or on where it was going */
	DROP,
	FORWARD,      /* it leaves by the device of its next hop */
	REFUSE,       /* it is dropped, and its sender gets "port" or "host unreachable" (struct work) */
	TOO_BIG,      /* it is dropped, and its sender is told the path MTU */
	HOLD,         /* it waits for the first fragment of its packet */
	LOCAL_NODE,   /* it goes up the local stack, to a server behind NAT */
	LOCAL_CLIENT, /* it goes over lo */
	ASK_CONNTRACK, /* nothing was decided: the kernel's connection tracking is to be asked */
};

/* note counts a reason on this CPU. */
static INLINE void note(enum reason r)
{
	__u64 *n = bpf_map_lookup_elem(&reasons, &r);

	if (n)
		(*n)++;
}

/* drop counts the reason for which a packet is dropped, and returns DROP. */
static INLINE enum verdict drop(enum reason r)
{
	note(r);
	return DROP;
}

/*
 * pass counts the reason for which a packet is left to the local stack, and returns
 * PASS.
 */
static INLINE enum verdict pass(enum reason r)
{
	note(r);
	return PASS;
}

#endif
