/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* verdict.h - the decision on a packet, and the counters of reasons. */
#ifndef WEIR_VERDICT_VERDICT_H
#define WEIR_VERDICT_VERDICT_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

enum verdict {
	PASS,    /* up the local stack, or on where it was going */
	DROP,    /* nowhere */
	FORWARD, /* out of the device that the server's entry names */
	REFUSE,  /* nowhere, and the client is told that there is no server */
	TOO_BIG, /* nowhere, and the client is told how big it may be */
	HOLD,    /* nowhere yet: it waits for the packet's first fragment */
	LOCAL_NODE,      /* up the local stack, to a server behind NAT that is this machine */
	LOCAL_CLIENT,    /* over lo, to a client that is this machine */
};

static INLINE void note(enum reason r)
{
	__u64 *n = bpf_map_lookup_elem(&reasons, &r);

	if (n)
		(*n)++;
}

static INLINE enum verdict drop(enum reason r)
{
	note(r);
	return DROP;
}

static INLINE enum verdict pass(enum reason r)
{
	note(r);
	return PASS;
}

#endif
