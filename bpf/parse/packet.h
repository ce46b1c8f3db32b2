/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* packet.h - what the parser finds out about a packet. */
#ifndef WEIR_PARSE_PACKET_H
#define WEIR_PARSE_PACKET_H

#include "abi.h"
#include "base/bpf.h"

enum parsed {
	PARSED,          /* TCP or UDP with its ports */
	PARSED_OTHER,    /* nothing that a service could want */
	PARSED_SHORT,    /* ends before its headers do */
	PARSED_SLOW,     /* from here on it is for rare.h: */
	PARSED_FRAGMENT = PARSED_SLOW, /* a fragment: its ports may be elsewhere */
	PARSED_ICMP,     /* an error, perhaps */
	PARSED_TAGGED,   /* a VLAN's frame */
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* What is known of a packet. */
struct packet {
	struct flow_key key;
	__u64 sender;   /* the frame's source address | the device's index << 48 */
	__u32 bytes;    /* from the IP header on */
	__u32 packets;  /* 1, or the segments of a GSO packet */
	__u32 ifindex;  /* where it came in */
	__u8 protocol;
	__u8 tcp_flags; /* 0 where it is UDP */
	bool ip6;
	bool local_out; /* this machine sends it itself */
};

/* Where its headers are. */
struct headers {
	struct ethhdr *eth;
	struct iphdr *ip4; /* one of the two is NULL */
	struct ipv6hdr *ip6;
	struct udphdr *l4; /* the UDP header; TCP's ports stand alike */
	__u16 *check;      /* the transport checksum, so many bytes into the frame */
	__u32 check_offset;
};

/* What is known of a fragment. */
struct ip_fragment {
	__u32 id;
	bool first; /* there are more */
	bool later; /* without the packet's ports */
};

#endif
