/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* counters.h - connections, packets and bytes of services and servers. */
#ifndef WEIR_VERDICT_COUNTERS_H
#define WEIR_VERDICT_COUNTERS_H

#include "abi.h"
#include "base/bpf.h"

/*
 * count adds to the counters of a service (stats is &service_stats) or of a server
 * (&server_stats) on this CPU: connections begun, and packets and bytes from clients.
 * Bytes are counted from the IP header on.
 */
static INLINE void count(void *stats, __u32 index, __u32 conns, __u32 packets, __u32 bytes)
{
	struct counter *c = bpf_map_lookup_elem(stats, &index);

	if (!c)
		return;
	c->conns += conns;
	c->packets += packets;
	c->bytes += bytes;
}

/* count_out adds packets and bytes to the clients, like count. */
static INLINE void count_out(void *stats, __u32 index, __u32 packets, __u32 bytes)
{
	struct counter *c = bpf_map_lookup_elem(stats, &index);

	if (!c)
		return;
	c->out_packets += packets;
	c->out_bytes += bytes;
}

#endif
