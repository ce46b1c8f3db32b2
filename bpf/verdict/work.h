/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * work.h - a packet on the full path, and the decision on it. It stands in a map with
 * one entry per CPU and not on the stack, which has 512 bytes; so the full path is
 * verified once, for every kind of packet.
 */
#ifndef WEIR_VERDICT_WORK_H
#define WEIR_VERDICT_WORK_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"
#include "parse/packet.h"

/* What the forwarding functions have done to a packet, and what the hook is still to do. */
struct sent {
	__u32 ifindex; /* the device that it leaves by */
	bool nat;      /* the hook is to correct the transport checksum, by these: */
	__u16 old_port, new_port; /* network byte order */
	__u16 csum_ports; /* what the addresses and ports add to the checksum's sum */
	__u16 csum;       /* what the first of the addresses adds: for the IPv4 header's checksum */
	__u32 outer; /* bytes of the outer header that goes in front; 0: none */
	__u32 mtu;   /* for TOO_BIG and for local clients: the path MTU in bytes */
};

/*
 * The outer IP header that the hook puts in front of a packet. Addresses and df are in
 * network byte order, the length is not.
 */
struct outer {
	struct next_hop next_hop; /* the next hop */
	struct addr from, to;
	__u16 length; /* of the inner packet, in bytes */
	__be16 df;
	__u8 protocol, tos, ttl;
};

/* The bytes of a VLAN tag, and the most tags that are read. */
#define TAG_BYTES 4
#define MAX_TAGS 2

/* The kinds of packets on the slow path (slow/classify.h). */
enum slow_kind {
	SLOW_WHOLE,          /* a whole packet with VLAN tags */
	SLOW_FIRST_FRAGMENT, /* the first fragment, which has the ports */
	SLOW_LATER_FRAGMENT,
	SLOW_ICMP_ERROR,     /* the packet's key is that of the quoted packet's answers */
};

/* A packet on the slow path, and where its headers are. */
struct slow_packet {
	enum slow_kind kind;
	__u32 tag_bytes; /* how many bytes of VLAN tags the frame has */
	__u32 tags[MAX_TAGS]; /* the tags, as in the frame */
	struct ip_fragment piece;
	struct fragment_key fragment;
	struct packet quoted; /* by an ICMP error */
	/* Offsets into the frame, in bytes; 0: the packet has no such header. */
	__u32 ip;        /* the IP header */
	__u32 l4, check; /* the transport header and its checksum; of an error, the quoted ones */
	__u32 icmp;      /* the header of an ICMP error */
	__u32 quote;     /* the IP header that an ICMP error quotes */
	bool copy;       /* a copy of the packet is to be sent (hook/tc_slow.h) */
};

/* A packet on the full path, and the decision on it. */
struct work {
	struct packet packet;
	struct next_hop reply_route; /* the next hop back to where the packet came from */
	__u32 now;    /* the tick in which its path has begun (base/clock.h) */
	__u32 origin; /* who sent its frame (enum origin, service/director.h) */
	bool can_ask; /* the caller of the full path obeys ASK_CONNTRACK */
	__u32 check;  /* of a packet that this machine sends: the mark of a check, or 0 */
	bool last_hop; /* the packet may go no farther than to this machine */
	bool no_host;  /* with the verdict REFUSE: its sender gets "host unreachable", not "port unreachable" */
	/* With the verdict FORWARD: */
	__u32 service, server;   /* indexes */
	enum method method;      /* of the connection */
	__u32 new_conns;         /* 1: the packet began a connection; else 0 */
	bool end_there;          /* its server is the last machine that it reaches (service/director.h) */
	bool to_client;          /* it goes to the client of a connection: */
	struct conn_reply reply; /* that client */
	/* Behind NAT: what the address that it gets adds to a checksum's sum, and that with the port. */
	__u16 csum, csum_ports;
	/* On the way to the verdict: */
	__u32 hash;                   /* of its key (index_hash) */
	__u32 freed;                  /* the place of a slot that was freed for this packet, or 0 */
	bool answered;                /* the server's answers to the new connection come to this machine: */
	struct flow_key reply_key;    /* their key, */
	__u32 answers;                /* and its hash */
	struct template_key template; /* of the new connection; place 0: it has none */
	struct template template_draft;
	struct outer outer;
	struct half_open victim;   /* a connection to evict; expiry 0: none */
	struct flow_key other_key; /* a scratch key */
	struct slow_packet slow;
	struct fragment fragment_draft;
	__u64 waiting; /* the turn of the next fragment that was held for this one, or 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct work);
	__uint(max_entries, 1);
} works SEC(".maps");

/*
 * work_of is this CPU's entry, or NULL, which never happens and which the verifier asks
 * for.
 */
static INLINE struct work *work_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&works, &zero);
}

/*
 * set_reply_route stores the reply route of the packet: its Ethernet source and
 * destination, turned, and the device that it came in by.
 */
static INLINE void set_reply_route(struct work *w, const struct headers *h)
{
	copy_mac(w->reply_route.dst, h->eth->h_source);
	copy_mac(w->reply_route.src, h->eth->h_dest);
	w->reply_route.ifindex = w->packet.ifindex;
}

#endif
