/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * firewall_mark.h - the firewall mark that weir's own rules give a new flow. Packets of
 * flows with a connection entry are never looked up here.
 */
#ifndef WEIR_SERVICE_FIREWALL_MARK_H
#define WEIR_SERVICE_FIREWALL_MARK_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/ports.h"

/* A search through one list of rules, for bpf_loop. */
struct mark_search {
	const struct flow_key *key;
	__u32 first, count;
	__u32 mark;
};

/*
 * mark_fits says whether a rule matches the flow: source network, protocol, and range of
 * destination ports.
 */
static INLINE bool mark_fits(const struct mark_rule *r, const struct flow_key *key)
{
	__u16 port = bpf_ntohs(ports_destination(key->ports));

	return (key->from.hi & r->mask.hi) == r->source.hi &&
	       (key->from.lo & r->mask.lo) == r->source.lo &&
	       (!r->protocol || r->protocol == ports_protocol(key->ports)) &&
	       r->first_port <= port && port <= r->last_port;
}

/* mark_try looks at one rule, and ends the loop at the first that matches. */
static long mark_try(__u32 turn, struct mark_search *m)
{
	__u32 at = m->first + turn;
	struct mark_rule *r;

	if (turn >= m->count)
		return 1;
	r = bpf_map_lookup_elem(&mark_rules, &at);
	if (!r || !mark_fits(r, m->key))
		return 0;
	m->mark = r->mark;
	return 1;
}

/*
 * mark_list_of is the list of rules for the flow's destination, by the longest prefix,
 * or NULL.
 */
static INLINE struct mark_list *mark_list_of(const struct flow_key *key)
{
	struct mark_prefix to = { .bits = 128 };

	__builtin_memcpy(to.addr, &key->to, sizeof(to.addr));
	return bpf_map_lookup_elem(&mark_lists, &to);
}

/*
 * mark_of is the mark that the first matching rule gives the flow, or 0 where none
 * matches.
 */
static NOINLINE __u32 mark_of(const struct flow_key *key)
{
	struct mark_list *list = mark_list_of(key);

	if (!list)
		return 0;

	struct mark_search m = { .key = key, .first = list->first, .count = list->count };

	bpf_loop(MAX_MARK_RULES, mark_try, &m, 0);
	return m.mark;
}

#endif
