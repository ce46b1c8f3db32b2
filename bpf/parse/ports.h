/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ports.h - the word of a flow key (struct flow_key) that has both ports, in network byte
 * order, and the IP protocol.
 */
#ifndef WEIR_PARSE_PORTS_H
#define WEIR_PARSE_PORTS_H

#include "abi.h"
#include "base/bpf.h"

/* ports_word is the word of two ports and a protocol. */
static INLINE __u64 ports_word(__u16 source, __u16 destination, __u32 protocol)
{
	return source | (__u32)destination << PORTS_TO_SHIFT | (__u64)protocol << PORTS_PROTOCOL_SHIFT;
}

/* ports_source is the source port. */
static INLINE __u16 ports_source(__u64 ports)
{
	return ports;
}

/* ports_destination is the destination port. */
static INLINE __u16 ports_destination(__u64 ports)
{
	return ports >> PORTS_TO_SHIFT;
}

/* ports_protocol is the IP protocol. */
static INLINE __u8 ports_protocol(__u64 ports)
{
	return ports >> PORTS_PROTOCOL_SHIFT;
}

/* ports_turned is the word of the packets in the other direction. */
static INLINE __u64 ports_turned(__u64 ports)
{
	return ports_word(ports_destination(ports), ports_source(ports), ports >> PORTS_PROTOCOL_SHIFT);
}

#endif
