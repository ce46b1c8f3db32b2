/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * abi.h - the one page that C and Go share.
 *
 * Go's types are generated from it (go generate ./internal/dataplane). An
 * address is 16 bytes in network byte order, IPv4 as ::ffff:a.b.c.d, and is
 * read and written as two 64-bit words of those bytes. Ports are in network
 * byte order. Times are ticks of 2^26 ns (67 ms) of the monotonic clock, but
 * for leases, which are nanoseconds of the boot-time clock.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

#include <linux/types.h>

#define TICK_SHIFT 26

#define MAX_VIPS 4096 /* of a table as compiled, in either object */

struct addr {
	__u64 hi, lo;
};

/*
 * A service by mark has no port and no protocol, and the unspecified address of
 * its family for vip.
 */
struct service_key {
	struct addr vip;
	__u16 port;
	__u8 protocol;
	__u8 zero;
	__u32 mark;
};

/*
 * Marks (mark.h). The rules whose destination has an address stand in one list,
 * a run of mark_rules in their order, which the longest prefix of the address
 * leads to. Ports are in host byte order here.
 */
struct mark_prefix {
	__u32 bits; /* IPv4's count from the front of the mapped address */
	__u32 addr[4];
};

struct mark_list {
	__u32 first, count;
};

struct mark_rule {
	struct addr source, mask; /* fits where address & mask is source */
	__u32 mark;
	__u16 first_port, last_port;
	__u8 protocol; /* 0: any */
	__u8 zero[7];
};

enum scheduler {
	SCHED_RR,
	SCHED_WRR,
	SCHED_LC,
	SCHED_WLC,
	SCHED_SED,
	SCHED_NQ,
	SCHED_FO,
	SCHED_OVF,
	SCHED_DH,
	SCHED_SH,
	SCHED_MH,
	SCHED_TWOS,
	SCHED_LBLC,
	SCHED_LBLCR,
};

enum service_flags {
	SERVICE_FALLBACK = 1, /* sh, mh: another server where the client's own may not */
	SERVICE_PORT = 2,     /* sh, mh: by address and port of the client */
	SERVICE_BY_MARK = 4,
	SERVICE_ANY_PORT = 8,           /* of its protocol that has no service of its own */
	SERVICE_ONE_PACKET = 16,        /* UDP: each datagram on its own */
	SERVICE_EXPIRE_NODEST = 32,     /* connections of removed servers end */
	SERVICE_EXPIRE_QUIESCENT = 64,  /* templates of servers of weight 0 do */
	SERVICE_SLOPPY = 128,           /* TCP may begin with any packet but a reset */
	SERVICE_KEEP_REUSED = 256,      /* a SYN goes on with what has ended */
	SERVICE_REUSE_FIN_WAIT = 512,   /* a SYN begins anew in FIN_WAIT, too, but for NAT */
};

struct service {
	__u32 index; /* in tables and service_stats */
	__u32 lease; /* in leases */
	enum scheduler scheduler;
	enum service_flags flags;
	__u32 persist; /* ticks that a template lives; 0: not persistent */
	__u32 mark;
	struct addr netmask; /* of the clients that share one */
};

/* How many services there are, and of those that take a look-up of their own. */
struct service_count {
	__u32 all, any_port, by_mark;
};

/*
 * A template: which server the clients of a network have, with a persistent
 * service (persist.h). By mark it has the mark, and the unspecified address of
 * its family for vip; the port is 0 where one template is for all. One that its
 * clients may not go by any more stays until its time is over; they get another at
 * the next place.
 */
struct template_key {
	struct addr client, vip;
	__u32 mark;
	__u16 port;
	__u8 protocol;
	__u8 place; /* from 1 on, or 0: this is none */
};

#define TEMPLATE_PLACES 8

#define TEMPLATE_OVER (~0U)       /* its time is: the place is free */
#define TEMPLATE_LEAVES (~0U - 1) /* and it is being deleted */

struct template {
	__u32 server;   /* index, or one of these */
	__u32 invalid;  /* 1: nobody goes by it any more */
	__u32 stamp;    /* the tick of the last new connection */
	__u32 timeout;  /* ticks */
	__s32 controls; /* live connections */
};

/*
 * A service's table, 64-bit words in rows: looking up a row is what costs, so that who
 * looks at every server looks at a row of them. dh, sh and mh go to a slot by a hash,
 * and for the schedulers that scan (lc, wlc, ...) the slots are the list of servers,
 * newest first: each is a server's index.
 *
 * rr and wrr (cycle.h) have the list behind the slots: a server's turns << 32 | its
 * index. The slots are one cycle, and the cursor counts the turns; or there are no
 * slots, and the cursor is the last turn: its place << 32 | its level.
 */
#define TABLE_CURSOR 0
#define TABLE_LENGTH 1  /* the number of slots */
#define TABLE_SERVERS 2 /* the number of servers in the list behind them */
#define TABLE_TOP 3     /* the most turns that one of those has */
#define TABLE_HEAD 4    /* the count at which a round had just begun */
#define TABLE_SLOTS 16  /* from the second row on */

#define ROW_WORDS 16

struct row {
	__u64 word[ROW_WORDS];
};

/*
 * The cache of lblc and lblcr (locality.h): which server a destination was given,
 * or which set of them: the members are a chain from head on, newest first.
 */
struct cache_key {
	struct addr to;
	__u32 service;
	__u32 server; /* the member's index; 0 for the line itself */
};

struct cache_line {
	__u32 head;     /* a server's index, or NO_SERVER */
	__u32 used;     /* the tick in which it was last looked at */
	__u32 modified; /* and in which its set last changed */
	__u32 size;     /* of the set */
	__u32 lock;     /* 1 while somebody changes the set */
	__u32 zero;
};

struct member {
	__u32 next; /* a server's index, or NO_SERVER */
	__u32 zero;
};

/* Argument of weir_limits, a syscall program: a server's new thresholds. */
struct limits {
	__u32 server, upper, lower;
};

/* Argument of the cache's sweep (a syscall program) and what it found. */
struct cache_sweep {
	__u32 epoch; /* number of this sweep */
	__u32 now;   /* the tick */
	__u32 goal;  /* so many lines may leave before their time, if little used */
	__u32 lines; /* lines that stay */
};

enum server_flags {
	SERVER_PRESENT = 1,  /* is in its service's list */
	SERVER_LOCAL = 2,    /* is this machine: packets go up its own stack */
	SERVER_RESOLVED = 4, /* dst, src and ifindex are known */
	SERVER_LETS_GO = 8,  /* has left, and what it had is to end with the next sweep */
};

/*
 * How a packet reaches its server: lvs.ForwardMethod's numbers, and with them
 * whether the port stays the one that the client asked for.
 */
enum method {
	METHOD_NAT = 1,
	METHOD_DR,
	METHOD_TUN,
	METHOD_KEEPS_PORT = 4,
	METHOD_OWN = 8, /* of a connection: its client is this machine (own.h) */
};
#define METHOD_OF(method_) ((method_) & 3)

/*
 * Where a packet leaves: Ethernet addresses of the next hop and of our device. The
 * way to a client that is this machine leads over lo, and there may also be to get
 * the virtual address that the client has for its own.
 */
struct way {
	__u8 dst[6], src[6];
	__u32 ifindex;
};

#define WAY_HOME 1 /* lo, in every network namespace */
#define WAY_TO_VIP (1U << 31)

/* A real server and the way to it: one cache line. */
struct server {
	struct way way;
	struct addr addr;
	__u16 port;
	__u16 mtu;   /* of the way to it */
	enum server_flags flags;
	__u32 service; /* index of its service */
	__u32 swept;   /* the last sweep that met a connection of this server */
	__u8 method;   /* enum method: of new connections */
	__u8 own;      /* index in own_addrs: our address on the way to it */
	__u8 inner;    /* and ours of its service's family, which a tunnel may not have */
	__u8 zero[13];
};

/* What an address in ends is. */
enum end {
	END_VIRTUAL = 1, /* services have it */
	END_SERVER = 2,  /* a server behind NAT does */
};

/*
 * What a server has to do: Go writes the limits, the data plane the counts and
 * the flags. It is mapped into Go's memory, so that neither overwrites the other.
 */
struct load {
	__u32 weight;
	__u32 upper, lower; /* thresholds of active + inactive; 0: none */
	__u32 flags;        /* LOAD_FULL */
	__s32 active, inactive;
	__s32 persistent; /* templates */
	__u32 zero;
};

#define LOAD_FULL 1 /* reached upper, and is not below lower again */

/*
 * A flow as its packets carry it, in words: what a client sends, or, with NAT,
 * what its server answers.
 */
struct flow_key {
	struct addr from, to;
	__u64 ports; /* source port | destination port << 16 | protocol << 32 */
};

/*
 * The states of a connection: those of IPVS (net/netfilter/ipvs/
 * ip_vs_proto_tcp.c), UDP's one, GONE for an entry that somebody has taken and
 * is about to delete, and REPLY for the entry of a NAT connection's other
 * direction, which lives and dies with its connection's.
 */
enum conn_state {
	STATE_NONE,
	STATE_ESTABLISHED,
	STATE_SYN_SENT,
	STATE_SYN_RECV,
	STATE_FIN_WAIT,
	STATE_TIME_WAIT,
	STATE_CLOSE,
	STATE_CLOSE_WAIT,
	STATE_LAST_ACK,
	STATE_LISTEN,
	STATE_SYNACK,
	STATE_UDP,
	STATE_GONE,
	STATE_REPLY,
	STATES,
};

/* What the client of a server's answers knows, and the way back to it. */
struct conn_reply {
	struct addr vip;
	__u64 ports; /* of the connection's own key */
	struct way back;
};

/*
 * A connection. Server and state change only by one compare-and-exchange on
 * the word, so that exactly one CPU wins each change: incarnation << 40 |
 * method << 36 | state << 32 | server's index. The method is the server's when
 * the connection began. A preallocated entry may be reused while another CPU
 * still holds it: the incarnation tells.
 */
struct conn {
	__u64 word;
	__u32 service; /* index of its service */
	__u32 stamp;   /* the tick in which it was last seen, but for its lines */
	union {
		struct conn_reply reply;      /* of a REPLY */
		struct template_key template; /* of another: with a place, if it came by one */
	} of;
	/* The CPUs whose flow cache may have it, bit n & 63 for CPU n. */
	__u64 cached;
	__u32 card; /* the place of its card, counted from 1; 0: none */
	__u32 zero;
};

/*
 * A connection's card: what the sweep goes by (card.h). A connection that is not due
 * yet is not looked at.
 */
struct card {
	struct flow_key key;
	__u32 taken; /* the server's index + 1, and CARD_LOST; 0: by nobody */
	__u32 due;   /* the tick from which on its time may be over */
};

/*
 * A line of the flow cache (flow.h), 64 bytes: an established flow as its packets
 * carry it, and where they go.
 */
struct flow_to_server {
	struct addr vip;
	__u64 sender; /* the frame's source address | device << 48 */
};

struct flow_to_client { /* with NAT */
	struct way back;
	__u16 vport;
};

struct flow_line {
	__u64 ports;      /* as in the packet's key */
	struct addr peer; /* the client */
	union {
		struct flow_to_server in;
		struct flow_to_client out;
	} way;
	__u32 server;     /* index; its address is the source of what it answers */
	__u32 used;       /* the tick of its last packet */
	__u32 generation; /* of flow_knobs, or 0: empty */
	__u16 answers;    /* 1: to the client */
	__u16 method;     /* of the connection */
};

/* Two lines beside each other, which one look at memory fetches. */
struct flow_pair {
	struct flow_line line[2];
};

/* How the time of stamps follows from the kernel's jiffies. */
struct clock {
	__u64 first; /* jiffies when the monotonic clock was 0 */
	__u64 jiffy; /* ns */
};

/* For weir_jiffies. */
struct jiffies {
	__u64 now;
};

/* How the flow cache works at the moment. */
struct flow_knobs {
	__u64 seed[5];    /* secret odd numbers: nobody can aim flows at one line */
	__u32 generation; /* lines of another one are empty */
	__u32 idle;       /* ticks without a packet, after which a line is not good */
	__u64 zero;
};

/* Room in the connection table (room.h), a cache line of its own. */
struct room {
	__s64 half_open; /* connections in SYN_RECV */
	__u64 turn;      /* how many have been half open */
	__u32 limit;     /* places in their ring */
	__u32 full;      /* the last tick in which there was too little room, or 0 */
	__u32 hand;      /* how many cards were tried for */
	__u32 span;      /* cards are taken among so many, the first; SPAN_LEAST or more */
	__u64 zero[4];
};

/* A place in the ring: a connection, and its word while it is half open. */
struct half_open {
	struct flow_key key;
	__u64 word;
};

/*
 * Fragments (fragment.h): what the first one of a packet found out for those that
 * follow. They are of one packet when this is the same (RFC 791, RFC 8200).
 */
struct fragment_key {
	struct addr from, to;
	__u32 id; /* as in the header */
	__u8 protocol; /* of IPv4; 0 with IPv6 */
	__u8 zero[3];
};

enum fragment_fate {
	FRAGMENT_PASSES,
	FRAGMENT_DROPPED,
	FRAGMENT_TO_SERVER,
	FRAGMENT_TO_CLIENT, /* as its NAT server's answer */
};

#define FRAGMENT_KNOWN (~0ULL)

struct fragment {
	__u64 word;  /* FRAGMENT_KNOWN, or the last one that waits for the first, or 0 */
	__u32 stamp; /* the tick in which the first that came did */
	__u32 server, service; /* indexes */
	__u8 fate;   /* enum fragment_fate: good when the word says so */
	__u8 method; /* enum method, of its connection */
	__u8 zero[2];
	struct conn_reply reply; /* with FRAGMENT_TO_CLIENT */
};

/*
 * A fragment that came before its first, in a ring: the newest takes the place
 * of the oldest.
 */
#define HELD_BYTES 9240

struct held {
	__u64 turn; /* the ring's, when it was put here; 0 while it is written */
	__u64 next; /* the turn of the one that came before it, or 0 */
	__u32 bytes, zero;
	__u8 frame[HELD_BYTES];
};

struct lease {
	__u64 until;   /* boot-time nanoseconds; the owner forwards until then */
	__u32 ifindex; /* whose lease it is: interface, VRID, family */
	__u8 vrid;
	__u8 ipv6;
	__u8 zero[2];
};

struct counter {
	__u64 conns, packets, bytes;   /* from the clients */
	__u64 out_packets, out_bytes;  /* to them, where answers pass here */
};

/* Why a packet was not forwarded: dropped, or left to the local stack. */
enum reason {
	REASON_NONE,
	DROP_NO_SERVER,      /* the service has no server to give */
	DROP_NO_NEXT_HOP,    /* the way to the server is not known (yet) */
	DROP_SERVER_REMOVED, /* the connection's server is not in the service now */
	DROP_TTL,            /* its time to live or hop limit is used up */
	DROP_EXPIRING,       /* its entry was being deleted in this very moment */
	DROP_COLLISION,      /* NAT: the server has a connection of this client's port for another VIP */
	DROP_TOO_BIG,        /* for the way to the server, and not to be cut */
	DROP_TABLE_FULL,     /* NAT, and no room to remember it by */
	PASS_PASSIVE,        /* this director is not master for the address */
	PASS_FROM_DIRECTOR,  /* another director forwarded it here already */
	PASS_NO_CONNECTION,  /* TCP without SYN, and no connection for it */
	PASS_FRAGMENT,       /* a fragment that came before its first, and could not be held */
	PASS_NO_SERVICE,     /* of a connection, but the last service has gone */
	NOTE_TABLE_FULL,     /* forwarded, but no room was left to remember it */
	NOTE_BY_HASH,        /* forwarded by a hash: its entry is lacking for want of room */
	NOTE_RECYCLED,       /* the oldest half-open connection gave up its place */
	NOTE_ICMP_SENT,      /* dropped, and the client told why */
	NOTE_ICMP_FORWARDED, /* an ICMP error about a connection, sent on to whom it concerns */
	NOTE_FRAGMENT_HELD,  /* a fragment that came before its first, and waits for it */
	DROP_FRAGMENT,       /* of a packet whose first fragment was dropped */
	REASONS,
};

/* Argument of the sweep (a syscall program) and what it found. */
struct sweep {
	__u32 epoch;   /* number of this sweep */
	__u32 now;     /* the tick */
	__u32 first;   /* the first card to look at, and then the next one */
	__u32 cards;   /* how many to look at, or fewer where many are due */
	__u32 due;     /* so many were; 0 before (the verifier is not to follow the count) */
	__u32 all;     /* 1: those that are not due, too */
	__u32 span;    /* of the room: to set it, if not 0, and what it is */
	__u32 live;    /* what stays: connections, or templates */
	__u32 expired; /* connections deleted */
	__u32 end;     /* behind the last card that is taken */
};

#endif
