/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* verdict.h - what becomes of a packet, and counting it. */
#ifndef WEIR_VERDICT_H
#define WEIR_VERDICT_H

enum verdict {
	PASS,    /* up the local stack */
	DROP,    /* nowhere */
	FORWARD, /* out of the device that the server's entry names */
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

static INLINE void count(void *stats, __u32 index, __u32 conns, __u32 packets, __u32 bytes)
{
	struct counter *c = bpf_map_lookup_elem(stats, &index);

	if (!c)
		return;
	c->conns += conns;
	c->packets += packets;
	c->bytes += bytes;
}

static INLINE void count_out(void *stats, __u32 index, __u32 packets, __u32 bytes)
{
	struct counter *c = bpf_map_lookup_elem(stats, &index);

	if (!c)
		return;
	c->out_packets += packets;
	c->out_bytes += bytes;
}

/* What the place where the packet was met knows of it, and is to do with it. */
struct frame {
	__u32 packets; /* 1, or the segments of a GSO packet */
	__u32 bytes;
	__u32 ifindex; /* where it came in; where a forwarded packet leaves */
	/* An address and a port have changed: the transport checksum must follow. */
	bool nat;
	__u16 old_port, new_port;
	__u32 csum; /* what the address adds to the sum */
};

#endif
