/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow.h - the flow cache: a line of 64 bytes for each established flow, in
 * front of the connections. A packet that changes no state touches its line and
 * its server, and nothing else.
 *
 * Each CPU has lines of its own and only it fills them, so that they are whole
 * without a lock. A line is good for flow_refresh ticks; then its flow takes the
 * full way once, which stamps the connection. What a connection holds in caches
 * it knows (conn.cached), and whoever changes its state or its server, by
 * winning its word, empties those lines. The order makes that certain: a CPU
 * that fills a line enters itself in conn.cached first, and reads the word again
 * after; one that changes the word reads conn.cached after.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

/* The lines of a CPU are 1 << flow_bits; there are so many CPUs. */
volatile const __u32 flow_bits = 2;
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
 * A flow may have one of so many lines on a CPU: that of its slot, or one whose
 * number differs from it in the lowest bits only.
 */
#define FLOW_WAYS 4

static INLINE __u32 flow_slot(const struct flow_knobs *n, const struct flow_key *k, __u32 cpu)
{
	return (cpu << flow_bits) + (flow_hash(n, k) >> (64 - flow_bits));
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
 * flow_one_of is the flow's line, if it is this one or its neighbour. Both are
 * read before either is looked at, so that the CPU waits for memory once.
 */
static INLINE struct flow_line *flow_one_of(__u32 at, const struct flow_key *k)
{
	__u32 beside = at ^ 1;
	struct flow_line *a = bpf_map_lookup_elem(&flow_lines, &at);
	struct flow_line *b = bpf_map_lookup_elem(&flow_lines, &beside);
	__u64 in_a, in_b;

	if (!a || !b)
		return NULL;
	in_a = a->ports;
	in_b = b->ports;
	asm volatile("" : "+r"(in_a), "+r"(in_b));
	if (in_a == k->ports && flow_matches(a, k))
		return a;
	return in_b == k->ports && flow_matches(b, k) ? b : NULL;
}

/* flow_find is the flow's line on this CPU, if it is good, or NULL. */
static INLINE struct flow_line *flow_find(const struct flow_key *k)
{
	struct flow_knobs *n = flow_knobs_of();
	struct flow_line *l;
	__u32 at;

	if (!n)
		return NULL;
	at = flow_slot(n, k, bpf_get_smp_processor_id());
	l = flow_one_of(at, k);
	if (!l)
		l = flow_one_of(at ^ 2, k);
	if (!l)
		return NULL;
	return l->generation == n->generation && tick() - l->stamp < n->refresh ? l : NULL;
}

/* The states of connections that have lines. */
static INLINE bool flow_state(__u32 state)
{
	return state == STATE_ESTABLISHED || state == STATE_UDP;
}

/* flow_place is the line that a flow is to have: its own, an empty one, or the oldest. */
static INLINE struct flow_line *flow_place(const struct flow_knobs *n, const struct flow_key *k,
					   __u32 cpu, __u32 now)
{
	__u32 slot = flow_slot(n, k, cpu), age, oldest = 0;
	struct flow_line *place = NULL;

	for (__u32 way = 0; way < FLOW_WAYS; way++) {
		__u32 at = slot ^ way;
		struct flow_line *l = bpf_map_lookup_elem(&flow_lines, &at);

		if (!l)
			return NULL;
		if (flow_matches(l, k))
			return l;
		age = l->generation == n->generation ? now - l->stamp : ~0U;
		if (!place || age > oldest) {
			place = l;
			oldest = age;
		}
	}
	return place;
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
static NOINLINE void flow_keep(const struct packet *p, struct conn *c, const struct conn *reply,
			       __u32 now)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u64 word = c->word, bit = 1ULL << (cpu & 63);
	struct flow_knobs *n = flow_knobs_of();
	struct flow_line *l;

	if (!n || !flow_state(conn_state(word)))
		return;
	if (reply ? !vip_known(c->service, &reply->of.reply.vip) : from_director(p))
		return;
	l = flow_place(n, &p->key, cpu, now);
	if (!l)
		return;
	if (!(c->cached & bit))
		__sync_fetch_and_or(&c->cached, bit);
	l->generation = 0;
	l->ports = p->key.ports;
	l->server = conn_server(word);
	l->stamp = now;
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
	if (c->word != word)
		l->generation = 0;
}

/* Emptying the lines of a flow: passed from turn to turn of a loop. */
struct flow_hunt {
	struct flow_key key;
	__u64 cpus; /* bit n & 63: CPU n may have one */
};

static INLINE void flow_empty(const struct flow_key *k, __u32 at)
{
	struct flow_line *l = bpf_map_lookup_elem(&flow_lines, &at);

	if (l && flow_matches(l, k))
		l->generation = 0;
}

static long flow_hunt_one(__u32 cpu, struct flow_hunt *h)
{
	struct flow_knobs *n = flow_knobs_of();

	if (n && h->cpus >> (cpu & 63) & 1) {
		__u32 slot = flow_slot(n, &h->key, cpu);

		for (__u32 way = 0; way < FLOW_WAYS; way++)
			flow_empty(&h->key, slot ^ way);
	}
	return 0;
}

/*
 * flow_forget empties the connection's lines on every CPU, those of its answers,
 * too: for whoever has changed its word.
 */
static NOINLINE void flow_forget(const struct flow_key *key, struct conn *c, __u64 word)
{
	struct flow_hunt hunt = { .key = *key };
	__u32 index = conn_server(word);
	struct server *s;

	if (!c->cached)
		return;
	hunt.cpus = __sync_lock_test_and_set(&c->cached, 0);
	bpf_loop(flow_cpus, flow_hunt_one, &hunt, 0);
	s = bpf_map_lookup_elem(&servers, &index);
	if (!s || !conn_nat(word))
		return;
	reply_key(&hunt.key, key, s, conn_method(word));
	bpf_loop(flow_cpus, flow_hunt_one, &hunt, 0);
}

#endif
