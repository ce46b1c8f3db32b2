/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* maps.h - the tables that C and Go share, and the knob that Go sets per device. */
#ifndef WEIR_BASE_MAPS_H
#define WEIR_BASE_MAPS_H

#include "abi.h"
#include "base/bpf.h"

/* The sizes of the tables as compiled. The loader sets other ones. */
#define MAX_SERVICES 4096
#define MAX_SERVERS 65536
#define MAX_SLOT_CHUNKS 1
#define MAX_INDEX_CHUNKS 1
#define MAX_HALF_OPEN 10922      /* a sixth of the connections */
#define MAX_TEMPLATES 65536
#define MAX_LEASES 256           /* lease 0 never runs out */
#define MAX_LOCAL_ADDRS 256      /* index 0 has no address */
#define MAX_DIRECTORS 1024
#define MAX_DIRECTOR_ROUTES 65536
#define MAX_ACCESS_RULES 65536
#define MAX_XDP_EXITS 1024
#define MAX_REASONS 32
#define MAX_FLOW_CHUNKS 1
#define MAX_FRAGMENTS 16384
#define MAX_HELD 512
#define MAX_MARK_LISTS 8192
#define MAX_MARK_RULES 65536
#define MAX_CACHE_LINES 65536
#define MAX_MEMBER_BLOCKS 131072

/* MAP declares a table that is pinned by its name, so that it survives the process. */
#define MAP(name_, type_, key_, value_, size_)                                                     \
	struct {                                                                                   \
		__uint(type, type_);                                                               \
		__type(key, key_);                                                                 \
		__type(value, value_);                                                             \
		__uint(max_entries, size_);                                                        \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
	} name_ SEC(".maps")

/*
 * VARIABLE declares a table of one value. It is a variable in a section of its own, since
 * programs read that without a look-up; Go pins its section as it pins the tables.
 */
#define VARIABLE(name_, value_) SEC(".data." #name_) value_ name_

VARIABLE(service_counts, struct service_count);
MAP(services, BPF_MAP_TYPE_HASH, struct service_key, struct service, MAX_SERVICES);
/* The same services by their index. A mapped array's values begin at cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct service_entry);
	__uint(max_entries, MAX_SERVICES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} service_entries SEC(".maps");
VARIABLE(service_slots, struct service_slots);
MAP(servers, BPF_MAP_TYPE_ARRAY, __u32, struct server, MAX_SERVERS);
/* This machine's addresses on the paths to the servers. */
MAP(local_addrs, BPF_MAP_TYPE_ARRAY, __u32, struct addr, MAX_LOCAL_ADDRS);
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct load);
	__uint(max_entries, MAX_SERVERS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} loads SEC(".maps");
/*
 * CHUNKED_ARRAY declares a table that grows by chunks of one size, which Go makes. The values
 * of a mapped array begin at a page, and so at cache lines.
 */
#define CHUNKED_ARRAY(name_, value_, size_)                                                        \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                          \
		__uint(max_entries, size_);                                                        \
		__type(key, __u32);                                                                \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
		__array(                                                                           \
			values, struct {                                                           \
				__uint(type, BPF_MAP_TYPE_ARRAY);                                  \
				__uint(map_flags, BPF_F_MMAPABLE);                                 \
				__type(key, __u32);                                                \
				__uint(value_size, sizeof(value_));                                \
				__uint(max_entries, 1);                                            \
			});                                                                        \
	} name_ SEC(".maps")

CHUNKED_ARRAY(conn_slots, struct conn, MAX_SLOT_CHUNKS);
CHUNKED_ARRAY(conn_index, struct bucket, MAX_INDEX_CHUNKS);
/*
 * The tables of connections that an older build has left, which Go puts in the place of this one,
 * or none (conn/older.h).
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, OLDER_TABLES);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(key_size, sizeof(struct flow_key));
			__uint(value_size, sizeof(struct older_conn));
			__uint(max_entries, 1);
		});
} older_tables SEC(".maps");

CHUNKED_ARRAY(flow_chunks, struct flow_pair, MAX_FLOW_CHUNKS); /* the flow cache */
VARIABLE(addr_filter, struct addr_filter);
VARIABLE(clocks, struct clock);
VARIABLE(conn_limits, struct conn_limits);
VARIABLE(slot_sizes, struct slot_sizes);
/* By it the programs wake Go up, so that it makes more room for connections. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} conn_wakes SEC(".maps");
MAP(half_open_slots, BPF_MAP_TYPE_ARRAY, __u32, struct half_open, MAX_HALF_OPEN);

/*
 * SPARSE_HASH declares a hash table whose entries are allocated one by one: one
 * that is seldom full, and whose entries are seldom made.
 */
#define SPARSE_HASH(name_, key_, value_, size_)                                                    \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                              \
		__type(key, key_);                                                                 \
		__type(value, value_);                                                             \
		__uint(max_entries, size_);                                                        \
		__uint(pinning, LIBBPF_PIN_BY_NAME);                                               \
	} name_ SEC(".maps")
SPARSE_HASH(templates, struct template_key, struct template, MAX_TEMPLATES);
/* The templates' expiry entries: one table of as many as Go has found to be needed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP);
			__type(key, __u32);
			__uint(value_size, sizeof(struct template_entry));
			__uint(max_entries, 1);
		});
} template_entries SEC(".maps");
VARIABLE(template_tables, struct template_table);
VARIABLE(flow_knobs, struct flow_knobs);
MAP(leases, BPF_MAP_TYPE_ARRAY, __u32, struct lease, MAX_LEASES);
/* The index of a VIP's lease, for the egress guard. */
MAP(vips, BPF_MAP_TYPE_HASH, struct addr, __u32, MAX_VIPS);
/* The Ethernet addresses of other directors (mac_word): DIRECTOR_OWNS_MAC or DIRECTOR_SHARES_MAC. */
MAP(directors, BPF_MAP_TYPE_HASH, __u64, __u8, MAX_DIRECTORS);
/* A filter in front of it: bit director_bit(mac) is set for each director. */
VARIABLE(director_filter, __u64);
/* The indexes of the devices that are known to send what XDP redirects to them. */
MAP(xdp_exits, BPF_MAP_TYPE_HASH, __u32, __u8, MAX_XDP_EXITS);
VARIABLE(far_ends, struct far_ends);
/* A service's address, by its index. */
MAP(service_vips, BPF_MAP_TYPE_ARRAY, __u32, struct addr, MAX_SERVICES);
MAP(service_stats, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct counter, MAX_SERVICES);
MAP(server_stats, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct counter, MAX_SERVERS);
/* The key of a service, by its index, also when it was removed: for Go alone. */
MAP(service_keys, BPF_MAP_TYPE_ARRAY, __u32, struct service_key, MAX_SERVICES);
/* The counters' values when they were last zeroed: for Go alone. */
MAP(service_zeros, BPF_MAP_TYPE_ARRAY, __u32, struct counter, MAX_SERVICES);
MAP(server_zeros, BPF_MAP_TYPE_ARRAY, __u32, struct counter, MAX_SERVERS);
MAP(reasons, BPF_MAP_TYPE_PERCPU_ARRAY, enum reason, __u64, MAX_REASONS);
/*
 * The packets whose fragments are under way. A flood of fragments can at worst shorten
 * the time in which other packets' fragments must arrive: only fragments use this table.
 */
MAP(fragments, BPF_MAP_TYPE_LRU_HASH, struct fragment_key, struct fragment, MAX_FRAGMENTS);
MAP(held_fragments, BPF_MAP_TYPE_ARRAY, __u32, struct held, MAX_HELD);
VARIABLE(held_turns, __u64);
/* Firewall marks: the list of rules of a destination, and the rules of all lists. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mark_prefix);
	__type(value, struct mark_list);
	__uint(max_entries, MAX_MARK_LISTS);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} mark_lists SEC(".maps");
MAP(mark_rules, BPF_MAP_TYPE_ARRAY, __u32, struct mark_rule, MAX_MARK_RULES);

/* The cache of lblc and lblcr, and the members of its sets. */
SPARSE_HASH(cache, struct cache_key, struct cache_line, MAX_CACHE_LINES);
SPARSE_HASH(member_blocks, struct cache_key, struct member_block, MAX_MEMBER_BLOCKS);
/* The program that weir_egress calls: weir_local_out. */
MAP(tails, BPF_MAP_TYPE_PROG_ARRAY, __u32, __u32, 1);

/* The time-out of a connection by its state, in ticks. */
MAP(timeouts, BPF_MAP_TYPE_ARRAY, enum conn_state, __u32, STATES);

/* The table of a service (sched/table.h), by the service's index. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SERVICES);
	__type(key, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP);
			__type(key, __u32);
			__uint(value_size, sizeof(struct row));
			__uint(max_entries, 1);
		});
} tables SEC(".maps");

/*
 * The device's own Ethernet address (mac_word), or 0. A frame to another address is left
 * alone; with 0 no address is compared.
 */
volatile const __u64 device_mac = 0;

/*
 * Whether VLANs on the device have devices of their own: tagged frames are then left alone
 * here, and are looked at there.
 */
volatile const bool vlan_devices = false;

/*
 * The SHA-256 of the object that the program was loaded from. No program reads it: Go knows by it
 * a program of the same object that an earlier process has left.
 */
volatile const __u8 object_sum[32] = {};

#endif
