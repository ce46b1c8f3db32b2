/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * access.h - rules that deny or allow clients, by their networks and by the protocol and
 * port that they ask for. Only packets to a service that have no connection ask them. Of
 * the rules that match a packet the longest prefix counts, and of equal ones deny does.
 *
 * The rules for everything, for a protocol, for a port, and for both, are each a table of
 * prefixes of its own in one table: the key begins with the protocol and the port.
 */
#ifndef WEIR_SERVICE_ACCESS_H
#define WEIR_SERVICE_ACCESS_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/ports.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct access_key);
	__type(value, struct access_rule);
	__uint(max_entries, MAX_ACCESS_RULES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} access_rules SEC(".maps");
/* Which kinds of rules there are: bits ACCESS_BY_PROTOCOL | ACCESS_BY_PORT. 0: no rule. */
MAP(access_kinds, BPF_MAP_TYPE_ARRAY, __u32, __u32, 1);

/* The bits in front of an IPv4 address in its mapped form. */
#define IP4_BITS 96

/* How many live rules whose time is over are passed over on the way to a shorter prefix. */
#define ACCESS_TRIES 8

/* access_denies and access_allows say what a rule does at a moment, in boot-time nanoseconds. */
static INLINE bool access_denies(const struct access_rule *r, __u64 now)
{
	return r->file == ACCESS_DENY || r->deny_until > now;
}

static INLINE bool access_allows(const struct access_rule *r, __u64 now)
{
	return r->file == ACCESS_ALLOW || r->allow_until > now;
}

/* access_match is the rule of a kind with the longest prefix, or NULL. */
static NOINLINE struct access_rule *access_match(const struct flow_key *k, __u32 kind, __u64 now)
{
	struct access_key key = { .bits = ACCESS_BITS };
	struct access_rule *r;

	if (kind & ACCESS_BY_PROTOCOL)
		key.protocol = ports_protocol(k->ports);
	if (kind & ACCESS_BY_PORT)
		key.port = ports_destination(k->ports);
	__builtin_memcpy(key.addr, &k->from, sizeof(key.addr));
	for (__u32 i = 0; i < ACCESS_TRIES; i++) {
		r = bpf_map_lookup_elem(&access_rules, &key);
		/* A prefix of IPv6 that holds all of IPv4 does not mean IPv4. */
		if (r && r->bits < ACCESS_HEAD_BITS + IP4_BITS && is_ip4(&k->from))
			return NULL;
		if (!r || access_denies(r, now) || access_allows(r, now))
			return r;
		if (r->bits <= ACCESS_HEAD_BITS)
			return NULL;
		key.bits = r->bits - 1;
	}
	return NULL;
}

/* denied_by is the rule that denies a client's packets with this key, or NULL. */
static INLINE struct access_rule *denied_by(const struct flow_key *k, __u32 kinds)
{
	struct access_rule *r, *by = NULL;
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 best = 0, rank;

	for (__u32 kind = 0; kind <= (ACCESS_BY_PROTOCOL | ACCESS_BY_PORT); kind++) {
		if (!(kinds >> kind & 1))
			continue;
		r = access_match(k, kind, now);
		if (!r)
			continue;
		rank = r->bits << 1 | access_denies(r, now);
		if (rank <= best)
			continue;
		best = rank;
		by = r;
	}
	return best & 1 ? by : NULL;
}

/*
 * denied_among is access_denied by the rules of these kinds. It is a global function, so that
 * the verifier goes through its loops once, and not for each path that leads here.
 */
__noinline int denied_among(__u32 kinds, const struct flow_key *k, __u32 packets)
{
	struct access_rule *r = k ? denied_by(k, kinds) : NULL;

	if (!r)
		return false;
	if (packets)
		__sync_fetch_and_add(&r->packets, packets);
	return true;
}

/*
 * access_denied says whether a rule denies a client's packets with this key, and adds so many
 * packets to the rule's count. Without any rule nothing is asked.
 */
static INLINE bool access_denied(const struct flow_key *k, __u32 packets)
{
	__u32 zero = 0, *kinds = bpf_map_lookup_elem(&access_kinds, &zero);

	return kinds && *kinds && denied_among(*kinds, k, packets);
}

#endif
