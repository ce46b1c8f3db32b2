/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * locality.h - lblc and lblcr (net/netfilter/ipvs/ip_vs_lblc.c, ip_vs_lblcr.c):
 * a destination goes to the server that it was given, unless that one has too
 * much to do while another has little. lblcr then adds a server to the
 * destination's set instead of replacing the one.
 *
 * A set changes only under its line's lock, which nobody waits for: who does not
 * get it leaves the set as it is and uses the server all the same, as the kernel
 * does without memory. Readers may meet a set in the middle of a change; they then
 * see fewer of its members.
 */
#ifndef WEIR_LOCALITY_H
#define WEIR_LOCALITY_H

/* A day, and six minutes (DEFAULT_EXPIRATION, ENTRY_TIMEOUT), in ticks. */
#define TICKS(seconds_) ((__u32)((seconds_) * 1000000000ULL >> TICK_SHIFT))
#define CACHE_EXPIRY TICKS(24 * 60 * 60)
#define CACHE_SPARE TICKS(6 * 60)

static INLINE struct load *load_of(__u32 server)
{
	return bpf_map_lookup_elem(&loads, &server);
}

static INLINE bool server_present(__u32 server)
{
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	return s && s->flags & SERVER_PRESENT;
}

/* A look for a server with less than half of its weight to do. */
struct relief {
	__u32 service;
	bool found;
};

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

/* overloaded: it has more than its weight to do, and another one has little. Global, as scanned. */
__noinline int overloaded(__u32 service, __u32 server)
{
	struct relief r = { .service = service };
	struct load *l = load_of(server);

	if (!l || (__u32)l->active <= l->weight)
		return false;
	bpf_loop(MAX_ROWS, relief_one, &r, 0);
	return r.found;
}

/* cache_add makes the destination's line, if nobody was faster. */
static INLINE bool cache_add(const struct cache_key *key, __u32 server, __u32 now)
{
	struct cache_line line = { .head = server, .used = now, .modified = now, .size = 1 };

	return !bpf_map_update_elem(&cache, key, &line, BPF_NOEXIST);
}

/* lblc: one server for each destination; thresholds count for new ones only. */
static NOINLINE __u32 locality(const struct service *svc, const struct flow_key *key)
{
	struct cache_key at = { .to = key->to, .service = svc->index };
	struct cache_line *line = bpf_map_lookup_elem(&cache, &at);
	__u32 server, now = tick();
	struct load *l;

	if (line) {
		line->used = now;
		server = line->head;
		l = load_of(server);
		if (l && l->weight && server_present(server) && !overloaded(svc->index, server))
			return server;
	}
	server = scanned(svc->index, SCHED_WLC);
	if (server == NO_SERVER)
		return NO_SERVER;
	if (line)
		line->head = server;
	else
		cache_add(&at, server, now);
	return server;
}

/* A walk along a set. */
struct walk {
	struct cache_key at; /* the member that comes next */
	__u32 before;        /* the one before it, or NO_SERVER */
	__u32 server;        /* what was found, or NO_SERVER */
	__u32 found_before;  /* the member before that */
	__u32 weight;
	__u64 load;
};

static INLINE void walk_begin(struct walk *w, const struct cache_line *line)
{
	w->at.server = line->head;
	w->before = NO_SERVER;
	w->server = NO_SERVER;
}

/* walk_on goes to the next member; true: there is none. */
static INLINE bool walk_on(struct walk *w)
{
	struct member *m = bpf_map_lookup_elem(&members, &w->at);

	w->before = w->at.server;
	w->at.server = m ? m->next : NO_SERVER;
	return w->at.server == NO_SERVER;
}

static INLINE void walk_take(struct walk *w, const struct load *l)
{
	w->server = w->at.server;
	w->found_before = w->before;
	w->weight = l->weight;
	w->load = overhead(l);
}

/* set_min finds the least loaded member (ip_vs_dest_set_min). */
static long set_min(__u32 turn, struct walk *w)
{
	struct load *l = load_of(w->at.server);

	if (l && l->weight && !load_full(l) && server_present(w->at.server) &&
	    (w->server == NO_SERVER || w->load * l->weight > overhead(l) * w->weight))
		walk_take(w, l);
	return walk_on(w);
}

/* set_max finds the most loaded one (ip_vs_dest_set_max). */
static long set_max(__u32 turn, struct walk *w)
{
	struct load *l = load_of(w->at.server);

	if (l && l->weight &&
	    (w->server == NO_SERVER || w->load * l->weight < overhead(l) * w->weight))
		walk_take(w, l);
	return walk_on(w);
}

/* set_find looks for the server that stands in found_before. */
static long set_find(__u32 turn, struct walk *w)
{
	if (w->at.server == w->found_before) {
		w->server = w->at.server;
		return 1;
	}
	return walk_on(w);
}

static INLINE bool set_lock(struct cache_line *line)
{
	return __sync_val_compare_and_swap(&line->lock, 0, 1) == 0;
}

static INLINE void set_unlock(struct cache_line *line)
{
	__sync_val_compare_and_swap(&line->lock, 1, 0);
}

/* set_insert puts the server first in the set, if it is not in it. */
static NOINLINE void set_insert(struct walk *w, struct cache_line *line, __u32 server)
{
	struct member m = {};

	if (!set_lock(line))
		return;
	walk_begin(w, line);
	w->found_before = server;
	if (w->at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_find, w, 0);
	if (w->server == NO_SERVER) {
		w->at.server = server;
		m.next = line->head;
		if (!bpf_map_update_elem(&members, &w->at, &m, BPF_ANY)) {
			line->head = server;
			line->size++;
			line->modified = tick();
		}
	}
	set_unlock(line);
}

/* set_unlink takes the found server out of the set. */
static INLINE void set_unlink(struct walk *w, struct cache_line *line)
{
	struct member *m, *before;
	__u32 next;

	w->at.server = w->server;
	m = bpf_map_lookup_elem(&members, &w->at);
	next = m ? m->next : NO_SERVER;
	w->at.server = w->found_before;
	before = bpf_map_lookup_elem(&members, &w->at);
	if (w->found_before == NO_SERVER)
		line->head = next;
	else if (before)
		before->next = next;
	w->at.server = w->server;
	bpf_map_delete_elem(&members, &w->at);
	line->size--;
	line->modified = tick();
}

/* set_shrink takes the most loaded server out of a set of several. */
static NOINLINE void set_shrink(struct walk *w, struct cache_line *line)
{
	if (!set_lock(line))
		return;
	walk_begin(w, line);
	if (line->size > 1 && w->at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_max, w, 0);
	if (w->server != NO_SERVER)
		set_unlink(w, line);
	set_unlock(line);
}

/* set_new begins a destination's set with this server. */
static INLINE void set_new(struct cache_key *key, __u32 server)
{
	struct member last = { .next = NO_SERVER };

	if (!cache_add(key, server, tick()))
		return;
	key->server = server;
	bpf_map_update_elem(&members, key, &last, BPF_ANY);
}

/* lblcr: a set of servers for each destination. */
static NOINLINE __u32 replicated(const struct service *svc, const struct flow_key *key)
{
	struct walk w = { .at = { .to = key->to, .service = svc->index } };
	struct cache_line *line = bpf_map_lookup_elem(&cache, &w.at);
	__u32 server;

	if (!line) {
		server = scanned(svc->index, SCHED_WLC);
		if (server != NO_SERVER)
			set_new(&w.at, server);
		return server;
	}
	line->used = tick();
	walk_begin(&w, line);
	if (w.at.server != NO_SERVER)
		bpf_loop(MAX_TURNS, set_min, &w, 0);
	server = w.server;
	if (line->size > 1 && (__s32)(line->used - line->modified) > (__s32)CACHE_EXPIRY)
		set_shrink(&w, line);
	if (server != NO_SERVER && !overloaded(svc->index, server))
		return server;
	server = scanned(svc->index, SCHED_WLC);
	if (server != NO_SERVER)
		set_insert(&w, line, server);
	return server;
}

/* A server that the cache refers to keeps its number. */
static INLINE void cache_holds(__u32 server, __u32 epoch)
{
	struct server *s = bpf_map_lookup_elem(&servers, &server);

	if (s)
		s->swept = epoch;
}

/* cache_sweep_line deletes a line that was not used for long. */
static long cache_sweep_line(void *map, struct cache_key *key, struct cache_line *line,
			     struct cache_sweep *s)
{
	__s32 silent = s->now - line->used;

	if (silent > (__s32)CACHE_EXPIRY || (s->goal && silent > (__s32)CACHE_SPARE)) {
		bpf_map_delete_elem(map, key);
		if (s->goal)
			s->goal--;
		return 0;
	}
	s->lines++;
	cache_holds(line->head, s->epoch);
	return 0;
}

/* cache_sweep_member deletes a member whose line has gone. */
static long cache_sweep_member(void *map, struct cache_key *key, struct member *m,
			       struct cache_sweep *s)
{
	struct cache_key line = { .to = key->to, .service = key->service };

	if (!bpf_map_lookup_elem(&cache, &line)) {
		bpf_map_delete_elem(map, key);
		return 0;
	}
	cache_holds(key->server, s->epoch);
	return 0;
}

SEC("syscall")
int weir_sweep_cache(struct cache_sweep *s)
{
	struct cache_sweep found = { .epoch = s->epoch, .now = s->now, .goal = s->goal };

	bpf_for_each_map_elem(&cache, cache_sweep_line, &found, 0);
	bpf_for_each_map_elem(&members, cache_sweep_member, &found, 0);
	s->lines = found.lines;
	return 0;
}

#endif
