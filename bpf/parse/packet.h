/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* packet.h - what the parser finds out about a packet. */
#ifndef WEIR_PARSE_PACKET_H
#define WEIR_PARSE_PACKET_H

#include "abi.h"
#include "base/bpf.h"

/* What the parser has found. */
enum parsed {
	PARSED,       /* TCP or UDP, with its ports */
	PARSED_OTHER, /* a protocol that no service has */
	PARSED_SHORT, /* the frame ends before the headers do */
	PARSED_SLOW,  /* this and all that follow take the slow path: */
	PARSED_FRAGMENT = PARSED_SLOW, /* a fragment, perhaps without ports */
	PARSED_ICMP,   /* ICMP of the packet's family, perhaps an error */
	PARSED_TAGGED, /* a frame with VLAN tags */
};

/* The header's byte with the TCP flags, and the flags that weir looks at (RFC 9293 section 3.1). */
#define TCP_FLAGS_BYTE 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* What is known of a packet. */
struct packet {
	struct flow_key key;
	__u64 sender;    /* sender_word: the frame's source address and the device */
	__u32 bytes;     /* from the IP header on */
	__u32 packets;   /* 1, or the number of a GSO packet's segments */
	__u32 segment;   /* the payload of each segment of a GSO packet, in bytes; else 0 */
	__u32 ifindex;   /* the device that it came in by */
	__u8 protocol;   /* of the IP header: IPPROTO_TCP and others */
	__u8 tcp_flags;  /* TCP_FIN and others; 0 for UDP */
	bool ip6;
	bool local_out;  /* this machine sends it */
	bool at_xdp;     /* it is at XDP, on the fast path */
	__u8 zero[3];
};

/*
 * packet_begin begins what is known of a packet that came in by a device. It sets all that parse
 * does not set of every packet, and no more: a program that zeroes a whole struct packet first does
 * so for each packet.
 */
static INLINE void packet_begin(struct packet *p, __u32 ifindex, bool at_xdp)
{
	p->packets = 1;
	p->segment = 0;
	p->ifindex = ifindex;
	p->protocol = p->tcp_flags = 0;
	p->ip6 = p->local_out = false;
	p->at_xdp = at_xdp;
	p->zero[0] = p->zero[1] = p->zero[2] = 0;
}

/* Pointers to a packet's headers in the frame. */
struct headers {
	struct ethhdr *eth;
	struct iphdr *ip4; /* NULL for IPv6 */
	struct ipv6hdr *ip6; /* NULL for IPv4 */
	struct udphdr *l4; /* the UDP header, or TCP's, whose ports stand alike */
	__u16 *check;      /* the transport checksum: */
	bool summed;       /* it is complete, as always at XDP; else the hook knows what it is */
};

/* check_offset is how many bytes into the frame the transport checksum is. */
static INLINE __u32 check_offset(const struct headers *h)
{
	return (void *)h->check - (void *)h->eth;
}

/* What the IP header says about a fragment; neither first nor later: it is none. */
struct ip_fragment {
	__u32 id;   /* network byte order */
	bool first; /* it has the ports, and others follow */
	bool later; /* it has no ports */
};

#endif
