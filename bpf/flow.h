/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow.h - the flow cache: a line of 64 bytes for each established flow, in
 * front of the connections. A packet that changes no state touches its line and
 * its server, and nothing else.
 *
 * Each CPU has lines of its own and only it fills them, so that they are whole
 * without a lock. What a connection holds in caches it knows (conn.cached), and
 * whoever changes its state or its server, by winning its word, empties those
 * lines. The order makes that certain: a CPU that fills a line enters itself in
 * conn.cached first, and reads the word again after; one that changes the word
 * takes conn.cached after.
 *
 * A line knows when it was last used, and its connection does not: before one
 * ends for its silence, its lines are asked (flow_heard).
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

/* The pairs of lines of a CPU are 1 << flow_bits; there are so many CPUs. */
volatile const __u32 flow_bits = 1;
volatile const __u32 flow_cpus = 1;

static INLINE struct flow_knobs *flow_knobs_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&flow_knobs, &zero);
}

static INLINE __u64 flow_hash(const struct flow_knobs *n, const struct flow_key *k)
{
	return k->from.hi * n->seed[0] + k->from.lo * n->seed[1] + k->to.hi * n->seed[2] +
	       k->to.lo * n->seed[3] + k->ports * n->seed[4];
}

/*
 * A flow may have one of so many lines on a CPU, two beside each other in either
 * of two places: where many flows meet in one, few do in both.
 */
#define FLOW_WAYS 4

static INLINE struct flow_pair *flow_pair(__u64 hash, __u32 cpu, __u32 place)
{
	__u32 at;

	if (place)
		hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ULL;
	at = (cpu << flow_bits) + (hash >> (64 - flow_bits));
	return bpf_map_lookup_elem(&flow_lines, &at);
}

/* flow_line is the line that the flow may have this way, of FLOW_WAYS. */
static INLINE struct flow_line *flow_line(__u64 hash, __u32 cpu, __u32 way)
{
	struct flow_pair *pair = flow_pair(hash, cpu, way / 2);
	__u32 one = way & 1;

	asm volatile("" : "+r"(one)); /* as the verifier follows it: 0 or 1 */
	return pair ? &pair->line[one] : NULL;
}

static INLINE bool flow_matches(const struct flow_line *l, const struct flow_key *k)
{
	if (l->ports != k->ports)
		return false;
	if (l->answers)
		return same_addr(&l->peer, &k->to);
	return same_addr(&l->peer, &k->from) && same_addr(&l->way.in.vip, &k->to);
}

/*
 * flow_one_of is the flow's line, if it is one of these. Which of them is worked out
 * without a branch: no CPU could foresee it, and one that takes the wrong way waits
 * for memory before it may go on with anything.
 */
static INLINE struct flow_line *flow_one_of(struct flow_pair *pair, const struct flow_key *k)
{
	struct flow_line *l;
	__u64 differs, negative;

	if (!pair)
		return NULL;
	differs = pair->line[0].ports ^ k->ports;
	negative = -differs;
	asm volatile("" : "+r"(negative)); /* else the compiler sees through it, and branches */
	l = &pair->line[(differs | negative) >> 63];
	return flow_matches(l, k) ? l : NULL;
}

/* flow_find is the flow's line on this CPU, if it is good, or NULL. */
static INLINE struct flow_line *flow_find(const struct flow_key *k)
{
	struct flow_knobs *n = flow_knobs_of();
	struct flow_line *l;
	__u32 cpu = bpf_get_smp_processor_id(), now;
	__u64 hash;

	if (!n)
		return NULL;
	now = tick();
	hash = flow_hash(n, k);
	l = flow_one_of(flow_pair(hash, cpu, 0), k);
	if (!l)
		l = flow_one_of(flow_pair(hash, cpu, 1), k);
	if (!l)
		return NULL;
	if (l->generation != n->generation || now - l->used > n->idle)
		return NULL;
	if (l->used != now)
		l->used = now;
	return l;
}

/* The states of connections that have lines. */
static INLINE bool flow_state(__u32 state)
{
	return state == STATE_ESTABLISHED || state == STATE_UDP;
}

/* flow_place is the line that a flow is to have: its own, an empty one, or the oldest. */
static NOINLINE struct flow_line *flow_place(const struct flow_knobs *n, const struct flow_key *k,
					   __u32 cpu, __u32 now)
{
	struct flow_line *place = NULL;
	__u64 hash = flow_hash(n, k);
	__u32 age, oldest = 0;

	for (__u32 way = 0; way < FLOW_WAYS; way++) {
		struct flow_line *l = flow_line(hash, cpu, way);

		if (!l)
			return NULL;
		if (flow_matches(l, k))
			return l;
		age = l->generation == n->generation ? now - l->used : ~0U;
		if (!place || age > oldest) {
			place = l;
			oldest = age;
		}
	}
	return place;
}

/* flow_client is the key of the line's connection: what its client sends. */
static INLINE bool flow_client(struct flow_key *k, const struct flow_line *l)
{
	__u32 index = l->server;
	struct server *s;
	struct addr *vip;

	k->from = l->peer;
	k->to = l->way.in.vip;
	k->ports = l->ports;
	if (!l->answers)
		return true;
	s = bpf_map_lookup_elem(&servers, &index);
	index = s ? s->service : 0;
	vip = bpf_map_lookup_elem(&service_vips, &index);
	if (!s || !vip)
		return false;
	k->to = *vip;
	k->ports = (l->ports >> 16 & 0xffff) | (__u64)l->way.out.vport << 16 | l->ports >> 32 << 32;
	return true;
}

/* flow_tells has the connection know when a line that another gets was last used. */
static NOINLINE void flow_tells(struct flow_key *key, const struct flow_line *l)
{
	struct conn *c;

	if (!l->generation || !flow_client(key, l))
		return;
	c = bpf_map_lookup_elem(&conns, key);
	if (c && conn_server(c->word) == l->server && (__s32)(l->used - c->stamp) > 0)
		c->stamp = l->used;
}

/* A line of answers leaves the virtual address to its service, if that has only one. */
static INLINE bool vip_known(__u32 service, const struct addr *vip)
{
	struct addr *own = bpf_map_lookup_elem(&service_vips, &service);

	return own && same_addr(own, vip);
}

/*
 * flow_keep enters the packet's flow into this CPU's cache: what its client
 * sends, or, with the entry of the answers, what comes back.
 */
static NOINLINE void flow_keep(struct work *w, struct conn *c, const struct conn *reply, __u32 now)
{
	const struct packet *p = &w->packet;
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 word = c->word, bit = 1ULL << (cpu & 63);
	struct flow_knobs *n = flow_knobs_of();
	struct flow_line *l;

	if (!n || p->own || conn_method(word) & METHOD_OWN || !flow_state(conn_state(word)))
		return;
	if (reply ? !vip_known(c->service, &reply->of.reply.vip) : from_director(p))
		return;
	l = flow_place(n, &p->key, cpu, now);
	if (!l)
		return;
	if (!flow_matches(l, &p->key))
		flow_tells(&w->other, l);
	if (!(c->cached & bit))
		__sync_fetch_and_or(&c->cached, bit);
	l->generation = 0;
	l->ports = p->key.ports;
	l->server = conn_server(word);
	l->used = now;
	if (reply) {
		l->peer = p->key.to;
		l->way.out.back = reply->of.reply.back;
		l->way.out.vport = reply->of.reply.ports >> 16;
	} else {
		l->peer = p->key.from;
		l->way.in.vip = p->key.to;
		l->way.in.sender = p->sender;
	}
	l->answers = reply != NULL;
	l->method = conn_method(word);
	__sync_lock_test_and_set(&l->generation, n->generation);
	if (c->word != word || !(c->cached & bit))
		l->generation = 0;
}

/* A look at all lines of a flow: passed from turn to turn of a loop. */
struct flow_hunt {
	struct flow_key key;
	__u64 cpus; /* bit n & 63: CPU n may have one */
};

#define NEVER 0x7fffffff

/* The same, to find out how long ago any was last used. */
struct flow_ask {
	struct flow_hunt hunt;
	__u32 now;
	__s32 age; /* ticks; below 0: since then */
};

/* flow_line_of is the flow's line, if this is it. */
static INLINE struct flow_line *flow_line_of(const struct flow_key *k, __u64 hash, __u32 cpu, __u32 way)
{
	struct flow_line *l = flow_line(hash, cpu, way);

	return l && l->generation && flow_matches(l, k) ? l : NULL;
}

static long flow_forget_one(__u32 cpu, struct flow_hunt *h)
{
	struct flow_knobs *n = flow_knobs_of();

	if (n && h->cpus >> (cpu & 63) & 1) {
		__u64 hash = flow_hash(n, &h->key);

		for (__u32 way = 0; way < FLOW_WAYS; way++) {
			struct flow_line *l = flow_line_of(&h->key, hash, cpu, way);

			if (l)
				l->generation = 0;
		}
	}
	return 0;
}

static long flow_ask_one(__u32 cpu, struct flow_ask *a)
{
	struct flow_knobs *n = flow_knobs_of();

	if (n && a->hunt.cpus >> (cpu & 63) & 1) {
		__u64 hash = flow_hash(n, &a->hunt.key);

		for (__u32 way = 0; way < FLOW_WAYS; way++) {
			struct flow_line *l = flow_line_of(&a->hunt.key, hash, cpu, way);

			if (l && (__s32)(a->now - l->used) < a->age)
				a->age = a->now - l->used;
		}
	}
	return 0;
}

/* flow_turns has the hunt look for what comes back, where that passes here. */
static INLINE bool flow_turns(struct flow_hunt *h, const struct flow_key *key, __u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	if (!s || !conn_nat(word))
		return false;
	reply_key(&h->key, key, s, conn_method(word));
	return true;
}

/* flow_forget empties the connection's lines: for whoever has changed its word. */
static NOINLINE void flow_forget(const struct flow_key *key, struct conn *c, __u64 word)
{
	struct flow_hunt h = { .key = *key };

	if (!c->cached)
		return;
	h.cpus = __sync_lock_test_and_set(&c->cached, 0);
	bpf_loop(flow_cpus, flow_forget_one, &h, 0);
	if (flow_turns(&h, key, word))
		bpf_loop(flow_cpus, flow_forget_one, &h, 0);
}

/*
 * flow_heard says whether a line was used within so many ticks, and stamps the
 * connection with that, if nobody stamps it at the same time.
 */
static NOINLINE bool flow_heard(const struct flow_key *key, struct conn *c, __u32 now, __u32 limit)
{
	struct flow_ask a = { .hunt = { .key = *key, .cpus = c->cached }, .now = now, .age = NEVER };
	__u32 stamp = c->stamp;

	if (!a.hunt.cpus)
		return false;
	bpf_loop(flow_cpus, flow_ask_one, &a, 0);
	if (flow_turns(&a.hunt, key, c->word))
		bpf_loop(flow_cpus, flow_ask_one, &a, 0);
	if (a.age > (__s32)limit)
		return false;
	__sync_val_compare_and_swap(&c->stamp, stamp, now - a.age);
	return true;
}

#endif
