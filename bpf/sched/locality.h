/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * locality.h - what lblc and lblcr share (net/netfilter/ipvs/ip_vs_lblc.c,
 * ip_vs_lblcr.c): a cache of destinations, and the question whether a destination's
 * server is overloaded while another server has little to do.
 */
#ifndef WEIR_SCHED_LOCALITY_H
#define WEIR_SCHED_LOCALITY_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "sched/table.h"
#include "service/load.h"

/*
 * A number of seconds in ticks; and after how long a destination that was not used
 * leaves the cache: a day, or six minutes where the cache is too large
 * (DEFAULT_EXPIRATION, ENTRY_TIMEOUT in ip_vs_lblc.c).
 */
#define TICKS(seconds_) ((__u32)((seconds_) * 1000000000ULL >> TICK_SHIFT))
#define CACHE_EXPIRY TICKS(24 * 60 * 60)
#define CACHE_SPARE TICKS(6 * 60)

/* A search for a server with little to do, for bpf_loop. */
struct relief {
	__u32 service;
	bool found;
};

/*
 * relief_one looks for a server whose active connections are fewer than half of its
 * weight.
 */
static long relief_one(__u32 turn, struct relief *r)
{
	__u32 slots = 0;
	struct row *row = slots_row(r->service, turn, &slots);

	if (!row)
		return 1;
	for (__u32 i = 0; i < ROW_WORDS && i < slots; i++) {
		struct load *l = load_of(row->word[i]);

		if (l && (__u64)(__u32)l->active * 2 < l->weight) {
			r->found = true;
			return 1;
		}
	}
	return 0;
}

/*
 * overloaded says whether a server has more active connections than its weight, and
 * another one has fewer than half of its own (is_overloaded in ip_vs_lblc.c). It is a
 * global function, as schedule_scan is.
 */
__noinline int overloaded(__u32 service, __u32 server)
{
	struct relief r = { .service = service };
	struct load *l = load_of(server);

	if (!l || (__u32)l->active <= l->weight)
		return false;
	bpf_loop(MAX_ROWS, relief_one, &r, 0);
	return r.found;
}

/*
 * cache_add makes the destination's line, with lblc's server, or for lblcr NO_SERVER and no
 * member. It does nothing where another CPU was faster, or there is no room.
 */
static INLINE void cache_add(const struct cache_key *key, __u32 server, __u32 now)
{
	struct cache_line line = { .server = server, .used = now, .modified = now };

	bpf_map_update_elem(&cache, key, &line, BPF_NOEXIST);
}

/*
 * cache_holds records that the cache refers to a server, so that Go does not reuse its
 * index.
 */
static INLINE void cache_holds(__u32 server, __u32 epoch)
{
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	if (s)
		s->swept = epoch;
}

/* cache_sweep_line deletes a line that was not used for long, for bpf_for_each_map_elem. */
static long cache_sweep_line(void *map, struct cache_key *key, struct cache_line *line, struct cache_sweep *s)
{
	__s32 silent = s->now - line->used;

	if (silent > (__s32)CACHE_EXPIRY || (s->goal && silent > (__s32)CACHE_SPARE)) {
		bpf_map_delete_elem(map, key);
		if (s->goal)
			s->goal--;
		return 0;
	}
	s->lines++;
	cache_holds(line->server, s->epoch);
	return 0;
}

/* cache_sweep_block deletes a block whose line has gone, for bpf_for_each_map_elem. */
static long cache_sweep_block(void *map, struct cache_key *key, struct member_block *b, struct cache_sweep *s)
{
	struct cache_key at = { .to = key->to, .service = key->service };
	struct cache_line *line = bpf_map_lookup_elem(&cache, &at);
	__u32 before = (key->block - 1) * BLOCK_MEMBERS;

	if (!line) {
		bpf_map_delete_elem(map, key);
		return 0;
	}
	for (__u32 i = 0; i < BLOCK_MEMBERS && before + i < line->size; i++)
		cache_holds(b->server[i], s->epoch);
	return 0;
}

#endif
