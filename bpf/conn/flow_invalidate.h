/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow_invalidate.h - all lines of a connection, on every CPU: to empty them, and to
 * find out when the connection was last used before it expires.
 */
#ifndef WEIR_CONN_FLOW_INVALIDATE_H
#define WEIR_CONN_FLOW_INVALIDATE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_line.h"
#include "conn/reply_key.h"
#include "conn/word.h"

/* A search for all lines of a flow, for bpf_loop. */
struct flow_search {
	struct flow_key key;
	__u32 cpus; /* bit n & 31: CPU n may have a line */
};

/* An age in ticks that no line has. */
#define NEVER 0x7fffffff

/* A search for the line that was used last, for bpf_loop. */
struct flow_age_search {
	struct flow_search search;
	__u32 now;
	__s32 age; /* of the line that was used last, in ticks; below 0: it was used after now */
};

/*
 * flow_line_of is the flow's line at this place of a CPU, or NULL where that line is
 * empty or another flow's.
 */
static INLINE struct flow_line *flow_line_of(const struct flow_key *k, __u64 hash, __u32 cpu, __u32 way)
{
	struct flow_line *l = flow_line(hash, cpu, way);

	return l && l->generation && flow_matches(l, k) ? l : NULL;
}

/* flow_invalidate_one empties the flow's lines on one CPU. */
static long flow_invalidate_one(__u32 cpu, struct flow_search *h)
{
	if (h->cpus >> (cpu & 31) & 1) {
		__u64 hash = flow_hash(&h->key);

		for (__u32 way = 0; way < FLOW_WAYS; way++) {
			struct flow_line *l = flow_line_of(&h->key, hash, cpu, way);

			if (l)
				l->generation = 0;
		}
	}
	return 0;
}

/* flow_age_one finds the age of the flow's lines on one CPU. */
static long flow_age_one(__u32 cpu, struct flow_age_search *a)
{
	if (a->search.cpus >> (cpu & 31) & 1) {
		__u64 hash = flow_hash(&a->search.key);

		for (__u32 way = 0; way < FLOW_WAYS; way++) {
			struct flow_line *l = flow_line_of(&a->search.key, hash, cpu, way);

			if (l && (__s32)(a->now - l->used) < a->age)
				a->age = a->now - l->used;
		}
	}
	return 0;
}

/*
 * flow_search_reply turns the search to the server's answers. False: they do not pass
 * this machine.
 */
static INLINE bool flow_search_reply(struct flow_search *h, const struct flow_key *key, __u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	if (!s || !conn_nat(word))
		return false;
	reply_key(&h->key, key, s, conn_method(word));
	return true;
}

/*
 * flow_invalidate empties all lines of a connection. Whoever has changed the
 * connection's word calls it, with the word before. It is a global function, so that the
 * verifier goes through its loops once, and not for each path that leads here. It returns 0.
 */
__noinline int flow_invalidate(struct conn *c, __u64 word)
{
	struct flow_search h = {};

	if (!c || !c->cached)
		return 0;
	h.key = c->key;
	h.cpus = __sync_lock_test_and_set(&c->cached, 0);
	bpf_loop(flow_cpus, flow_invalidate_one, &h, 0);
	if (flow_search_reply(&h, &c->key, word))
		bpf_loop(flow_cpus, flow_invalidate_one, &h, 0);
	return 0;
}

/*
 * flow_recently_used says whether a line of the connection was used within so many
 * ticks. It then stamps the connection with that time, unless another CPU stamps it
 * meanwhile.
 */
static NOINLINE bool flow_recently_used(struct conn *c, __u32 now, __u32 limit)
{
	struct flow_age_search a = { .search = { .key = c->key, .cpus = c->cached }, .now = now, .age = NEVER };
	__u32 stamp = c->stamp;

	if (!a.search.cpus)
		return false;
	bpf_loop(flow_cpus, flow_age_one, &a, 0);
	if (flow_search_reply(&a.search, &c->key, c->word))
		bpf_loop(flow_cpus, flow_age_one, &a, 0);
	if (a.age > (__s32)limit)
		return false;
	__sync_val_compare_and_swap(&c->stamp, stamp, now - a.age);
	return true;
}

#endif
