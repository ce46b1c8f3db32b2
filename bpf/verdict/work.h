/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * work.h - a packet on the full path, and the decision on it. It stands in a map with
 * one entry per CPU and not on the stack, which is short.
 */
#ifndef WEIR_VERDICT_WORK_H
#define WEIR_VERDICT_WORK_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/packet.h"

/* What was done to a packet, for the place where it was met to finish. */
struct sent {
	__u32 ifindex; /* where it leaves */
	/* An address and a port have changed: the transport checksum must follow. */
	bool nat;
	__u16 old_port, new_port;
	__u32 csum; /* what the address adds to the sum */
	__u32 outer; /* bytes of the header that goes in front (tunnel.h) */
	__u32 mtu;   /* of a packet that is too big; for this machine's own client, of the way */
};

/* An outer header that is to go in front. */
struct outer {
	struct way way;
	struct addr from, to;
	__u16 length; /* of the packet inside */
	__be16 df;
	__u8 protocol, tos, ttl;
};

/* What kind of packet is on the way of rare.h, and what that needs. */
enum slow_kind {
	SLOW_WHOLE, /* like any other, but for its tags */
	SLOW_FIRST_FRAGMENT, /* the first fragment, with the ports */
	SLOW_LATER_FRAGMENT, /* another */
	SLOW_ICMP_ERROR, /* an ICMP error; the packet's key is that of what it is about, turned */
};

struct slow_packet {
	enum slow_kind kind;
	__u32 tag_bytes; /* of VLAN tags in the frame */
	__u32 tags[2];   /* they */
	struct ip_fragment piece;
	struct fragment_key fragment;
	struct packet quoted; /* in an error */
	/* How many bytes into the frame they are, or 0: there is none. */
	__u32 ip, l4, check; /* of an error, those of what it quotes */
	__u32 icmp, quote;   /* of an error, and the IP header that it quotes */
	bool copy;           /* a copy of it is to be sent */
};

/*
 * A packet on the full way, and what is decided of it. It stands in a table of
 * one place a CPU and not on the stack, which is short; and so the full way is
 * verified once, whatever the packet looked like.
 */
struct work {
	struct packet packet;
	struct way reply_route; /* back to where it came from */
	/* If it is to be forwarded: */
	__u32 service, server; /* indexes */
	enum method method;    /* of the connection */
	__u32 new_conns;       /* 1: it began a connection */
	bool to_client;        /* it goes to a client, so: */
	struct conn_reply reply;
	struct conn draft; /* a connection on its way into the table */
	struct template_key template; /* that a new connection comes by, if it has a place */
	struct template template_draft;
	struct outer outer;
	struct half_open victim; /* that gives up its place, if it has a word */
	struct flow_key other_key;   /* than the packet's, for a while */
	struct slow_packet slow;
	struct fragment fragment_draft;
	__u64 waiting; /* the next fragment that was held until this one came, or 0 */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct work);
	__uint(max_entries, 1);
} works SEC(".maps");

static INLINE struct work *work_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&works, &zero);
}

/* set_reply_route notes the way back to where the packet came from. */
static INLINE void set_reply_route(struct work *w, const struct headers *h)
{
	__builtin_memcpy(w->reply_route.dst, h->eth->h_source, 6);
	__builtin_memcpy(w->reply_route.src, h->eth->h_dest, 6);
	w->reply_route.ifindex = w->packet.ifindex;
}

#endif
