/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * abi.h - the one page that C and Go share. Go's types and numbers are generated from it
 * (go generate ./internal/dataplane/abi).
 *
 * An address is 16 bytes in network byte order, IPv4 as ::ffff:a.b.c.d, and is read and
 * written as two 64-bit words of those bytes. Ports are in network byte order, except
 * where a comment says otherwise. Times are ticks of 2^26 ns (67 ms) of the monotonic
 * clock; leases are in nanoseconds of the boot-time clock.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

#include <linux/types.h>

#define TICK_SHIFT 26

/*
 * 2^64 and 2^32 divided by the golden ratio, as odd numbers. The high bits of a key times the first one
 * are its hash (Fibonacci hashing); steps of the second one come to all parts of a range in turn.
 */
#define GOLDEN_64 0x9e3779b97f4a7c15ULL
#define GOLDEN_32 0x9e3779b1U

#define MAX_VMACS 1024
#define MAX_VIPS 4096 /* the size of a table as compiled, in both objects */

struct addr {
	__u64 hi, lo;
};

/*
 * The key of a service. A service by firewall mark has no port and no protocol, and its
 * vip is the unspecified address of its family.
 */
struct service_key {
	struct addr vip;
	__u16 port;
	__u8 protocol;
	__u8 zero;
	__u32 mark;
};

/*
 * Firewall marks (service/firewall_mark.h). All rules for one destination network are a
 * list: a run of mark_rules, in their order. The longest prefix of an address leads to
 * its list.
 */
struct mark_prefix {
	__u32 bits; /* the length of the prefix; for IPv4, of the mapped address */
	__u32 addr[4];
};

/* A network, as the key of a table of prefixes. */
struct prefix {
	__u32 bits; /* the length; for IPv4, of the mapped address */
	__u32 addr[4];
};

struct mark_list {
	__u32 first, count; /* indexes in mark_rules */
};

struct mark_rule {
	struct addr source, mask; /* the rule matches where address & mask is source */
	__u32 mark;
	__u16 first_port, last_port; /* host byte order */
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
	SERVICE_FALLBACK = 1, /* sh, mh: another server where the client's own one may get no connection */
	SERVICE_PORT = 2,     /* sh, mh: by the client's address and port */
	SERVICE_BY_MARK = 4,
	SERVICE_ANY_PORT = 8,           /* every port of its protocol that has no service of its own */
	SERVICE_ONE_PACKET = 16,        /* UDP: each datagram is scheduled by itself */
	SERVICE_EXPIRE_NODEST = 32,     /* expire_nodest_conn: a removed server's connections end */
	SERVICE_EXPIRE_QUIESCENT = 64,  /* expire_quiescent_template: none of weight 0 is used */
	SERVICE_SLOPPY = 128,           /* TCP may begin with any packet but a reset (sloppy_tcp) */
	SERVICE_KEEP_REUSED = 256,      /* a SYN continues a closed connection (conn_reuse_mode 0) */
	SERVICE_REUSE_FIN_WAIT = 512,   /* a SYN begins a new one in FIN_WAIT as well, except behind NAT */
	SERVICE_HASHES = 1024,          /* its scheduler finds a flow's server by a hash of its own */
};

struct service {
	__u32 index; /* in the maps tables, service_vips and service_stats */
	__u32 lease; /* its index in leases */
	enum scheduler scheduler;
	enum service_flags flags;
	__u32 persist; /* the time-out of templates, in ticks; 0: not persistent */
	__u32 mark;
	struct addr netmask; /* of the clients that share a template */
};

/* A service with its key, by its index: one cache line. What was removed stays in it. */
struct service_entry {
	struct service_key key;
	struct service service;
};

/*
 * Where a service stands (service/service_slots.h). A key has one slot: the highest bits of the
 * product of the sum of its words and GOLDEN_64. A slot has the index of one of the
 * services that it is the slot of, plus one, or 0; the others are found in the table of services.
 */
#define SERVICE_SLOT_SHIFT 50
#define SERVICE_SLOTS 16384 /* 2^(64 - SERVICE_SLOT_SHIFT) */

struct service_slots {
	__u32 entry[SERVICE_SLOTS];
};

/*
 * Which families have a service, and the number of services that take a look-up of their
 * own.
 */
enum service_family {
	SERVICE_IP4 = 1,
	SERVICE_IP6 = 2,
};
struct service_count {
	enum service_family families; /* those that have one */
	__u32 any_port, by_mark;
};

/*
 * The key of a template (conn/template.h): which server the clients of a network have,
 * with a persistent service. With a service by firewall mark it has the mark, and its vip
 * is the unspecified address of its family; the port is 0 where one template is for all
 * ports. A template that its clients may not use any more stays until it expires; they
 * get another one at the next place.
 */
struct template_key {
	struct addr client, vip;
	__u32 mark;
	__u16 port;
	__u8 protocol;
	__u8 place; /* from 1 to TEMPLATE_PLACES; 0: this is no template */
};

#define TEMPLATE_PLACES 8

/* Instead of a server: */
#define TEMPLATE_EXPIRED (~0U)      /* it has expired, and the place is free */
#define TEMPLATE_DELETING (~0U - 1) /* it is being deleted */

struct template {
	__u32 server;   /* the server's index, TEMPLATE_EXPIRED or TEMPLATE_DELETING */
	__u32 expiry;   /* the place of its expiry entry << TEMPLATE_PLACE_SHIFT, and TEMPLATE_INVALID */
	__u32 stamp;    /* the tick of its last new connection */
	__u32 timeout;  /* ticks after the stamp */
	__s32 controls; /* the number of its connections */
};

/* No new connection uses the template. Versions before had nothing but this in its word. */
#define TEMPLATE_INVALID 1
#define TEMPLATE_PLACE_SHIFT 1

/* The expiry entry of a template (conn/template_expiry.h), as that of a connection. */
struct template_entry {
	struct template_key key;
	__u32 taken; /* the server's index + 1, with EXPIRY_ORPHAN; 0: the entry is free */
	__u32 due;   /* the tick from which on the template may expire */
};

/* The table of the templates' expiry entries, which Go replaces by a larger one. */
struct template_table {
	__u32 first;    /* free entries are looked for from this one on, */
	__u32 entries;  /* and before this one; 0: there is no table */
	__u32 cursor;   /* how many slots were tried in searches for a free one */
	__u32 unlisted; /* how many templates have got none */
};

/*
 * A service's table: 64-bit words in rows. A look-up costs per row, so a scheduler that
 * looks at every server does so by rows. For dh, sh and mh a hash is the slot; for the
 * scan schedulers (lc, wlc, ...) the slots are the list of servers, newest first. Each
 * slot is a server's index.
 *
 * For rr and wrr (sched/cycle.h) the list of servers stands behind the slots: a server's
 * turns << LIST_TURNS_SHIFT | its index. The slots are one cycle, and the cursor counts the
 * turns; or there are no slots, and the cursor is the last turn: its place << 32 | its
 * level. A slot of a cycle is (level - 1) << TURN_LEVEL_SHIFT | (place - 1) <<
 * TURN_PLACE_SHIFT | the server's index. Places are counted from 1.
 */
#define TABLE_CURSOR 0
#define TABLE_LENGTH 1  /* the number of slots */
#define TABLE_SERVERS 2 /* the number of servers in the list behind them */
#define TABLE_TOP 3     /* the most turns that a server of the list has */
#define TABLE_HEAD 4    /* the count at which a round had just begun */
#define TABLE_SLOTS 16  /* the slots begin at the second row */

#define TURN_LEVEL_SHIFT 48
#define TURN_PLACE_SHIFT 32
#define TURN_PLACE_MASK 0xffff
#define LIST_TURNS_SHIFT 32

#define ROW_WORDS 16

struct row {
	__u64 word[ROW_WORDS];
};

/*
 * The cache of lblc and lblcr (sched/locality.h): the server of a destination, or its set
 * of servers, whose members stand in blocks, oldest first.
 */
struct cache_key {
	struct addr to;
	__u32 service;
	__u32 block; /* the number of a block of members; 0 for the line itself */
};

struct cache_line {
	__u32 server;   /* of lblc: the server's index; of lblcr: NO_SERVER */
	__u32 used;     /* the tick in which it was last used */
	__u32 modified; /* the tick in which its set last changed */
	__u32 size;     /* the number of members */
	__u32 lock;     /* 1 while a CPU changes the set */
	__u32 zero;
};

/* Members of a set: servers' indexes. What stands behind the set's size means nothing. */
#define BLOCK_MEMBERS 32

struct member_block {
	__u32 server[BLOCK_MEMBERS];
};

/* The argument of weir_limits: a server's new thresholds. */
struct limits {
	__u32 server, upper, lower;
};

/* The argument and the result of weir_sweep_cache. */
struct cache_sweep {
	__u32 epoch; /* the number of this sweep */
	__u32 now;   /* the tick */
	__u32 goal;  /* how many little-used lines may be deleted before they expire */
	__u32 lines; /* result: the number of lines that stay */
};

enum server_flags {
	SERVER_PRESENT = 1,  /* it is in its service's list */
	SERVER_LOCAL = 2,    /* it is this machine: packets go up the local stack */
	SERVER_RESOLVED = 4, /* its next hop is known */
	SERVER_EXPIRES = 8,  /* it was removed, and its connections expire with the next sweep */
	SERVER_WAS_NAT = 16, /* it is or was behind NAT, and may have connections of that time */
	SERVER_DIRECTOR = 32, /* it is another director, by the address that it advertises from */
	SERVER_BY_ROUTER = 64, /* a router is on the way to it */
	SERVER_UNREACHABLE = 128, /* it has no route, or its neighbour does not answer; never with RESOLVED */
};

/* How a packet reaches its server: the numbers of lvs.ForwardMethod, and two flags. */
enum method {
	METHOD_NAT = 1,
	METHOD_DR,
	METHOD_TUN,
	METHOD_KEEPS_PORT = 4, /* the port stays the one that the client asked for */
	METHOD_LOCAL_CLIENT = 8, /* of a connection: its client is local (forward/local.h) */
};
#define METHOD_MASK 3 /* the method without its flags */
#define METHOD_OF(method_) ((method_) & METHOD_MASK)

/* A next hop: its Ethernet address, the address of the device that leads there, and the device. */
struct next_hop {
	__u8 dst[6], src[6];
	__u32 ifindex;
};

/* The index of lo, the next hop of a local client, in every network namespace. */
#define LO_IFINDEX 1
/*
 * A flag in the ifindex of a local client's reply route: packets to the client get its
 * virtual address as their destination.
 */
#define REPLY_TO_VIP (1U << 31)

/* A real server and its next hop: one cache line. */
struct server {
	struct next_hop next_hop;
	struct addr addr;
	__u16 port;
	__u16 mtu;   /* the path MTU, in bytes */
	enum server_flags flags;
	__u32 service; /* the index of its service */
	__u32 swept;   /* the number of the last sweep that found a connection of this server */
	__u8 method;   /* enum method: of new connections */
	/* This machine's addresses on the path to the server, as indexes in local_addrs; 0: none. */
	__u8 source;       /* of the server's family */
	__u8 inner_source; /* of its service's family */
	__u8 zero[13];
};

/*
 * The filter of addresses (service/addr_filter.h). An address has one byte in it: the
 * highest bits of (hi + lo) * GOLDEN_64. A flag says of all addresses with this
 * byte what they are not; 0 is always safe.
 */
#define ADDR_SLOT_SHIFT 50
#define ADDR_SLOTS 16384 /* 2^(64 - ADDR_SLOT_SHIFT) */

#define ADDR_NOT_VIRTUAL 1 /* no service has such an address, nor a connection to it */
#define ADDR_NOT_NAT 2     /* no server behind NAT has such an address, nor a connection */
#define ADDR_NO_MARKS 4    /* there is no service by firewall mark, nor a connection of one */
#define ADDR_PASSES 7      /* all of them */

/*
 * The marks of checks through a virtual address (service/check.h), as SO_MARK sets them: the
 * bits of CHECK_MARK_MASK, and a number of Go's.
 */
#define CHECK_MARK 0x77700000
#define CHECK_MARK_MASK 0xfff00000

struct addr_filter {
	__u8 flags[ADDR_SLOTS];
};

/*
 * The load of a server. Go writes the weight and the thresholds, the data plane writes the
 * counts and the flags; Go maps this memory, so that neither overwrites the other.
 */
struct load {
	__u32 weight;
	__u32 upper, lower; /* thresholds of active + inactive connections; 0: none */
	__u32 flags;        /* LOAD_FULL */
	__s32 active, inactive;
	__s32 persistent; /* the number of its templates */
	__u32 zero;
};

#define LOAD_FULL 1 /* it has reached upper, and is not yet below lower again */

/* A flow, as its packets carry it: a client's packets, or with NAT a server's answers. */
struct flow_key {
	struct addr from, to;
	__u64 ports; /* source | destination << PORTS_TO_SHIFT | protocol << PORTS_PROTOCOL_SHIFT */
};
#define PORTS_TO_SHIFT 16
#define PORTS_PROTOCOL_SHIFT 32

/*
 * The states of a connection: the TCP states of IPVS (net/netfilter/ipvs/
 * ip_vs_proto_tcp.c), the state of UDP, GONE for an entry that is about to be deleted,
 * and REPLY for the entry of a connection's other direction, which is deleted with its
 * connection.
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
	STATE_NEW,
	STATES,
};

/*
 * A connection, in one of the slots for them (conn/slots.h): two lines of the CPU's cache. Server
 * and state change only by one compare-and-exchange on the word (conn/word.h), so that exactly one
 * CPU wins each change: incarnation << 40 | method << 36 | state << 32 | server's index. The method
 * is the one that the server had when the connection began. Another CPU may still hold a slot that
 * has become another connection's; the incarnation shows that.
 */
struct conn {
	__u64 word;
	struct flow_key key; /* of the client's packets */
	__u32 service;       /* the index of its service */
	__u32 stamp;   /* the tick in which it was last used, apart from the flow cache */
	__u32 due;     /* the tick from which on it may expire */
	__u32 cached;  /* the CPUs whose flow cache may have it: bit n & 31 for CPU n */
	struct template_key template; /* place 0: it has none */
	struct next_hop route; /* of the answers, where they pass this machine; ifindex 0: they do not */
	__u32 place;   /* of the slot, counted from 1 */
	__u32 answers; /* the hash of the answers' key, where they pass this machine */
};

/* The client of a connection, for the answers to it. */
struct conn_reply {
	struct addr vip;       /* the virtual address that it knows */
	__u64 ports;           /* of the connection's key */
	struct next_hop route; /* the reply route */
};

/*
 * A bucket of the index of connections (conn/index.h): one line of the CPU's cache. More is how
 * many references that belong here stand in another bucket, because this one was full.
 */
#define BUCKET_REFS 7
struct bucket {
	__u64 refs[BUCKET_REFS]; /* 0: none */
	__u32 more, zero;
};

#define INDEX_PLACE_SHIFT 8
#define INDEX_BITS 31

/* How large the tables of connections are now. Go sets it. */
struct slot_sizes {
	__u32 slots;     /* their number */
	__u32 half_open; /* the number of places in the ring of half-open connections */
	__u32 index;     /* its place << INDEX_PLACE_SHIFT | the logarithm of the number of its buckets */
	__u32 before;    /* the same of the index before, while connections move from it; 0: none */
	__u32 older;     /* OLDER_LOOK, OLDER_KEEP: an older build's connections are being taken over */
	__u32 zero;
};

/*
 * While connections are taken over from the tables of an older build (conn/older.h): a flow that is
 * not known is looked for there; and no connection expires, since nobody knows yet when it was last
 * used.
 */
#define OLDER_LOOK 1
#define OLDER_KEEP 2

/*
 * A connection as builds before had it, in a hash table by its key. STATE_REPLY, the state that has
 * STATE_NEW's number now, was that of an entry for the answers to a connection, under their key.
 */
#define OLDER_TABLES 3
struct older_conn {
	__u64 word; /* as that of struct conn */
	__u32 service, stamp;
	union {
		struct conn_reply reply;      /* with STATE_REPLY */
		struct template_key template; /* with any other state */
	} of;
	__u32 cached;
	/* The table's index << OLDER_TABLE_SHIFT | a place. The index OLDER_TABLES: it has been taken over. */
	__u32 expiry;
};
#define OLDER_TABLE_SHIFT 30

/*
 * A line of the flow cache (conn/flow_line.h), 64 bytes: an established flow as its
 * packets carry it, and where they go.
 */
struct flow_to_server {
	struct addr vip;
	__u64 sender; /* as in struct packet: packets of another sender take the full path */
};

struct flow_to_client { /* with NAT */
	struct next_hop route; /* the reply route */
	__u16 vport;     /* the virtual port */
};

/* Whose packets a line is about. */
enum flow_answers {
	ANSWERS_NOT,   /* the client's */
	ANSWERS,       /* the server's */
	ANSWERS_BY_TC, /* the server's, which leave by a device to which XDP does not send */
};

struct flow_line {
	__u64 ports;      /* as in the packet's key */
	struct addr peer; /* the client */
	union {
		struct flow_to_server in;
		struct flow_to_client out;
	} of;
	__u32 server;     /* the server's index; its address is the source of its answers */
	__u32 used;       /* the tick of its last packet */
	__u32 generation; /* that of flow_knobs << FLOW_GENERATION_SHIFT | csum_ports; another one or 0: it is empty */
	__u8 answers;     /* enum flow_answers */
	__u8 method;      /* of the connection (enum method) */
	__u16 csum;       /* behind NAT: what the new address adds to a checksum's sum */
};

/* Two lines beside each other, which the CPU fetches from memory together. */
struct flow_pair {
	struct flow_line line[2];
};

/*
 * The devices whose far ends tc gives packets to at once: bit index % 64 of the word index / 64
 * is set for each. Those of a higher index have none.
 */
#define FAR_END_WORDS 1024
struct far_ends {
	__u64 bits[FAR_END_WORDS];
};

/* How ticks follow from the kernel's jiffies (base/clock.h). */
struct clock {
	__u64 first; /* jiffies when the monotonic clock was 0 */
	__u64 jiffy; /* ns */
};

/* The result of weir_jiffies. */
struct jiffies {
	__u64 now;
};

/* How the flow cache works now. */
struct flow_knobs {
	__u64 seed[5];    /* secret odd numbers, so that nobody can aim many flows at one line */
	__u32 older;      /* the generation of builds that laid a line out otherwise */
	__u32 idle;       /* ticks without a packet after which a line is not used */
	__u32 chunks;     /* the number of a CPU's chunks of lines, less 1; a power of two less 1 */
	__u32 generation; /* lines of another generation are empty */
};

/*
 * It is in a generation's highest bits, and another one for another layout of lines: no build uses a
 * line of another one's. All find a line's flow and last use in it, which stay where they are. The
 * layout 1 had generations of 32 bits with 1 in the highest byte, and the one before it only counted.
 */
#define FLOW_LAYOUT 2
#define FLOW_LAYOUT_SHIFT 12

/*
 * Csum_ports is, behind NAT, what the new address and the new port add to a checksum's sum. A line's
 * generation and that are read and written together, since another CPU may empty the line meanwhile.
 */
#define FLOW_GENERATION_SHIFT 16

/* What weir_move is called with: some slots, from this index on. */
struct moved {
	__u32 first, slots;
	__u32 failed; /* result: how many connections are to be looked at once more */
	__u32 zero;
};

/* What weir_take_older is called with: the keys of some connections in the tables of an older build. */
#define OLDER_AT_A_TIME 16
struct older_keys {
	struct flow_key key[OLDER_AT_A_TIME];
	__u32 keys;
	__u32 failed; /* result: how many connections found no room */
};

/* What weir_settle_flows is called with: some pairs of lines, with index first and so on, of a chunk. */
struct flow_pairs {
	__u32 chunk, first, pairs;
	__u32 empty; /* 1: the lines are emptied */
};

/*
 * The limits of the connection table (conn/table_full.h, conn/half_open.h,
 * conn/slots.h): a cache line of its own.
 */
struct conn_limits {
	__s64 half_open; /* the number of connections in SYN_RECV */
	__u64 turn;      /* how many connections have become half open */
	__u32 asked;     /* struct slot_sizes.slots when Go was last asked for more; 0: never */
	__u32 full;      /* the last tick in which the table was full; 0: never */
	__u32 cursor;    /* where the search for a free slot stands */
	__u32 span;      /* how many slots are searched; SPAN_LEAST or more */
	__u64 oldest;    /* the turn of the first connection that no search for a half-open one has met */
	__u32 zero[6];
};

/*
 * A place in the ring: the place of a half-open connection's slot, counted from 1,
 * and the connection's incarnation. 0 and 0: there is none.
 */
struct half_open {
	__u32 place;
	__u32 incarnation;
};

/*
 * The key of a fragmented packet (slow/fragment.h): fragments with the same key are of one
 * packet (RFC 791 section 3.2, RFC 8200 section 4.5).
 */
struct fragment_key {
	struct addr from, to;
	__u32 id; /* network byte order */
	__u8 protocol; /* of the IPv4 header; 0 with IPv6 */
	__u8 zero[3];
};

/* Where the fragments of a packet go, which the first fragment decides. */
enum fragment_fate {
	FRAGMENT_PASSES,
	FRAGMENT_DROPPED,
	FRAGMENT_TO_SERVER,
	FRAGMENT_TO_CLIENT, /* as a server's answer */
};

#define FRAGMENT_KNOWN (~0ULL)

struct fragment {
	__u64 word;  /* FRAGMENT_KNOWN, or the turn of the last fragment that waits, or 0 */
	__u32 stamp; /* the tick in which one of its fragments first came */
	__u32 server, service; /* indexes */
	__u8 fate;   /* enum fragment_fate; valid with FRAGMENT_KNOWN, and so is the rest */
	__u8 method; /* enum method of the connection */
	__u8 zero[2];
	struct conn_reply reply; /* with FRAGMENT_TO_CLIENT */
};

/*
 * A fragment that came before its first, in a ring (hook/tc_hold.h): the newest takes the
 * place of the oldest.
 */
#define HELD_BYTES 9240

struct held {
	__u64 turn; /* counts the fragments that the ring has had; 0 while this place is written */
	__u64 next; /* the turn of the packet's fragment that came before this one, or 0 */
	__u32 bytes, zero; /* the length of the frame */
	__u8 frame[HELD_BYTES];
};

/*
 * Which bit of director_filter an Ethernet address (mac_word) has: its bits from both
 * shifts on, combined by exclusive or and masked.
 */
#define DIRECTOR_HIGH_SHIFT 40
#define DIRECTOR_LOW_SHIFT 32
#define DIRECTOR_MASK 63

/* The values of directors: whether the Ethernet address is that director's alone. */
#define DIRECTOR_OWNS_MAC 1
#define DIRECTOR_SHARES_MAC 2 /* other machines' frames have it as well */

/*
 * Rules that deny or allow clients (service/access.h). A key begins with the protocol and
 * the port, 0 for any, so a prefix is at least ACCESS_HEAD_BITS long.
 */
#define ACCESS_HEAD_BITS 32
#define ACCESS_BITS 160
struct access_key {
	__u32 bits; /* the length of the prefix, from the protocol on */
	__u8 protocol, zero;
	__u16 port; /* network byte order */
	__u32 addr[4];
};

/* access_rule.file: what the configuration says of this key. */
#define ACCESS_ALLOW 1
#define ACCESS_DENY 2

/* The bits of a kind of rules; access_kinds has bit 1 << kind where there are such rules. */
#define ACCESS_BY_PROTOCOL 1
#define ACCESS_BY_PORT 2

struct access_rule {
	__u64 deny_until, allow_until; /* of live rules, in boot-time nanoseconds; 0: none */
	__u64 packets; /* that were denied */
	__u32 bits;    /* as in its key */
	__u32 file;    /* ACCESS_ALLOW, ACCESS_DENY or 0 */
};

struct lease {
	__u64 until;   /* the owner forwards until then, in boot-time nanoseconds */
	__u32 ifindex; /* the VRRP instance that has the lease: interface, VRID, family */
	__u8 vrid;
	__u8 ipv6;
	__u8 no_accept; /* its addresses take nothing but what is for services; of lease 0: any has this */
	__u8 zero;
};

struct counter {
	__u64 conns, packets, bytes;  /* from clients; bytes from the IP header on */
	__u64 out_packets, out_bytes; /* to clients, where answers pass this machine */
};

/*
 * Why a packet was dropped (DROP) or left to the local stack (PASS), and other events that
 * are counted (NOTE).
 */
enum reason {
	REASON_NONE,
	DROP_NO_SERVER,      /* the service has no server for a new connection */
	DROP_NO_NEXT_HOP,    /* the next hop of the server is not known yet, or cannot be had */
	DROP_SERVER_REMOVED, /* the connection's server was removed from its service */
	DROP_TTL,            /* its TTL or hop limit is used up */
	DROP_EXPIRING,       /* its connection entry was being deleted at the same time */
	DROP_COLLISION,      /* NAT: the server has a connection with this client's port for another VIP */
	DROP_TOO_BIG,        /* it exceeds the path MTU of its server */
	DROP_TABLE_FULL,     /* NAT, and the connection table is full */
	PASS_PASSIVE,        /* this director is not master for the address */
	PASS_FROM_DIRECTOR,  /* another director forwarded it here already */
	PASS_NO_CONNECTION,  /* TCP without SYN, and without a connection */
	PASS_FRAGMENT,       /* a fragment that came before its first and could not be held */
	PASS_NO_SERVICE,     /* of a connection, after the last service was removed */
	NOTE_TABLE_FULL,     /* forwarded without an entry, since the connection table is full */
	NOTE_BY_HASH,        /* forwarded by a hash: the table was too full for its entry */
	NOTE_RECYCLED,       /* a half-open connection was evicted */
	NOTE_ICMP_SENT,      /* dropped, and its sender got an ICMP error */
	NOTE_ICMP_FORWARDED, /* an ICMP error about a connection was forwarded */
	NOTE_FRAGMENT_HELD,  /* a fragment that came before its first was held */
	DROP_FRAGMENT,       /* a fragment of a packet whose first fragment was dropped */
	DROP_DENIED,         /* a rule denies its client */
	PASS_TRACKED,        /* it answers a connection that the kernel tracks */
	DROP_NOT_ACCEPTED,   /* it is for no service, and to an address with no_accept */
	REASONS,
};

/* The argument and the result of weir_sweep and weir_sweep_templates. */
struct sweep {
	__u32 epoch;   /* the number of this sweep */
	__u32 now;     /* the tick */
	__u32 first;   /* the first slot, or entry of a template, to look at; result: the next one */
	__u32 entries; /* how many to look at; fewer are, where many are due */
	__u32 due;     /* 0, so that the verifier does not follow it; result: how many were due */
	__u32 all;     /* 1: look at connections that are not due as well */
	__u32 span;    /* the new span of struct conn_limits, or 0; result: the span */
	__u32 live;    /* result: the number of connections, or templates, that stay */
	__u32 expired; /* result: the number of connections that were deleted */
	__u32 end;     /* result: the index behind the last one that is taken */
	__u32 zero;
};

#endif
