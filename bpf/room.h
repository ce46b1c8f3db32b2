/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * room.h - room in the connection table. Who only begins connections may not
 * take it from those that are established: the half-open ones (SYN_RECV) stand
 * in a ring, and where they are many a new one takes the place of the oldest.
 */
#ifndef WEIR_ROOM_H
#define WEIR_ROOM_H

static INLINE struct room *room_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&rooms, &zero);
}

/* room_lacks notes that there was none, from when on flows may lack their entries. */
static INLINE void room_lacks(struct room *r, __u32 now)
{
	__u32 tick = now ? now : 1;

	if (r->full != tick)
		r->full = tick;
}

/*
 * room_lacked says whether that was within a state's time-out: connections that
 * were then in this state may be without their entries now.
 */
static INLINE bool room_lacked(__u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);
	struct room *r = room_of();

	return r && limit && r->full && (__s32)(now - r->full) <= (__s32)*limit;
}

/* half_open_yet says whether the connection in this place of the ring is. */
static INLINE bool half_open_yet(const struct half_open *h)
{
	struct conn *c = bpf_map_lookup_elem(&conns, &h->key);

	return c && c->word == h->word;
}

/*
 * half_open_begins enters a connection that has just become half open. From half
 * of what the ring holds, the one that stood in its place is to end. So they are
 * never more than the ring and a half.
 */
static NOINLINE void half_open_begins(const struct flow_key *key, __u64 word)
{
	struct room *r = room_of();
	struct work *w = work_of();
	struct half_open *h;
	__u32 at;

	if (!r || !w || !r->limit)
		return;
	__sync_fetch_and_add(&r->half_open, 1);
	at = __sync_fetch_and_add(&r->turn, 1) % r->limit;
	h = bpf_map_lookup_elem(&half_opens, &at);
	if (!h)
		return;
	if (r->half_open > r->limit / 2)
		w->victim = *h;
	h->key = *key;
	h->word = word;
}

/* half_open_end ends the victim of this packet, if it is half open yet. */
static INLINE bool half_open_end(struct work *w)
{
	const struct flow_key *key = &w->victim.key;
	__u64 word = w->victim.word;
	struct room *r = room_of();
	struct conn *c;

	w->victim.word = 0;
	c = word ? bpf_map_lookup_elem(&conns, key) : NULL;
	if (!c || c->word != word || !conn_drop(key, c, word))
		return false;
	note(NOTE_RECYCLED);
	if (r)
		room_lacks(r, tick());
	return true;
}

static INLINE void half_open_ends(void)
{
	struct room *r = room_of();

	if (r)
		__sync_fetch_and_add(&r->half_open, -1);
}

/* half_open_moves counts a connection that goes from one state to another. */
static INLINE void half_open_moves(const struct flow_key *key, __u64 word, __u32 from, __u32 to)
{
	if (from == to)
		return;
	if (from == STATE_SYN_RECV)
		half_open_ends();
	if (to == STATE_SYN_RECV)
		half_open_begins(key, word);
}

/* How many places of the ring are looked at for one to recycle. */
#define RECYCLE_TURNS 64

static long recycle_one(__u32 turn, struct work **w)
{
	struct room *r = room_of();
	struct half_open *h;
	__u32 at;

	if (!r || !r->limit)
		return 1;
	at = (r->turn + turn) % r->limit;
	h = bpf_map_lookup_elem(&half_opens, &at);
	if (!h || !half_open_yet(h))
		return 0;
	(*w)->victim = *h;
	return 1;
}

/* room_made makes room in a full table by ending the oldest half-open connection. */
static INLINE bool room_made(struct work *w)
{
	bpf_loop(RECYCLE_TURNS, recycle_one, &w, 0);
	return half_open_end(w);
}

/* A look for a flow's server by its hash: passed from turn to turn of a loop. */
struct hash_search {
	__u32 service;
	__u32 hash;
	__u32 server;
};

static long hash_try(__u32 turn, struct hash_search *s)
{
	void *table = table_of(s->service);
	__u64 *length = table ? table_at(table, TABLE_LENGTH) : NULL, *slot;
	struct load *l;
	__u32 server;

	if (!length || turn >= *length)
		return 1;
	slot = table_at(table, TABLE_SLOTS + (s->hash + turn) % *length);
	if (!slot)
		return 1;
	server = *slot;
	l = bpf_map_lookup_elem(&loads, &server);
	if (!l || !l->weight)
		return 0;
	s->server = server;
	return 1;
}

/*
 * by_hash is a server for each packet of a flow that has no entry: the same for
 * all of them, as long as the service's table is. Thresholds do not count here.
 */
static NOINLINE __u32 by_hash(const struct service *svc, const struct flow_key *k)
{
	struct hash_search s = { .service = svc->index, .server = NO_SERVER };
	struct flow_knobs *n = flow_knobs_of();

	if (!n)
		return NO_SERVER;
	s.hash = flow_hash(n, k) >> 32;
	bpf_loop(MAX_TURNS, hash_try, &s, 0);
	return s.server;
}

/* Schedulers that find a flow's server by a hash of their own. */
static INLINE bool hashes(const struct service *svc)
{
	return svc->scheduler == SCHED_DH || svc->scheduler == SCHED_SH || svc->scheduler == SCHED_MH;
}

/* server_nat says whether packets to a server need an entry to come back. */
static INLINE bool server_nat(__u32 index)
{
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	return s && METHOD_OF(s->method) == METHOD_NAT && !stays(s, s->method);
}

/*
 * server_without_entry is the server of a flow that may have no entry, or lose
 * it: by a hash, unless the service finds it by a hash or a template anyway.
 * Behind NAT there is none.
 */
static INLINE __u32 server_without_entry(struct work *w, const struct service *svc)
{
	__u32 index;

	if (svc->persist)
		index = persistent(w, svc);
	else if (hashes(svc))
		index = schedule(svc, &w->packet);
	else
		index = by_hash(svc, &w->packet.key);
	return index != NO_SERVER && server_nat(index) ? NO_SERVER : index;
}

#endif
