/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow_cache.h - a flow enters this CPU's part of the flow cache.
 *
 * Each CPU has lines of its own and only it fills them, so they are consistent without
 * a lock. A connection records the CPUs that may have lines of it (conn.cached), and
 * whoever changes its state or server, by winning its word, invalidates those lines.
 * The order makes that certain: a CPU that fills a line enters itself in conn.cached
 * first, and reads the word again afterwards; a CPU that changes the word takes
 * conn.cached afterwards.
 */
#ifndef WEIR_CONN_FLOW_CACHE_H
#define WEIR_CONN_FLOW_CACHE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_line.h"
#include "conn/reply_key.h"
#include "conn/index.h"
#include "conn/word.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "service/director.h"
#include "verdict/work.h"

/* flow_state says whether a connection in this state may have lines. */
static INLINE bool flow_state(__u32 state)
{
	return state == STATE_ESTABLISHED || state == STATE_UDP;
}

/*
 * flow_victim is the line that a flow is to get on this CPU: its own, an empty one, or
 * the one that was not used for longest. NULL never happens.
 */
static NOINLINE struct flow_line *flow_victim(const struct flow_key *k, __u32 cpu, __u32 now)
{
	struct flow_line *place = NULL;
	__u64 hash = flow_hash(k);
	__u32 age, oldest = 0;

	for (__u32 way = 0; way < FLOW_WAYS; way++) {
		struct flow_line *l = flow_line(hash, cpu, way);

		if (!l)
			return NULL;
		if (flow_matches(l, k))
			return l;
		age = flow_current(l->generation) ? now - l->used : ~0U;
		if (!place || age > oldest) {
			place = l;
			oldest = age;
		}
	}
	return place;
}

/*
 * flow_client_key works out the key of the line's connection, which is the key of its
 * client's packets. False: the service or the server is unknown.
 */
static INLINE bool flow_client_key(struct flow_key *k, const struct flow_line *l)
{
	__u32 index = l->server;
	struct server *s;
	struct addr *vip;

	k->from = l->peer;
	k->to = l->of.in.vip;
	k->ports = l->ports;
	if (!l->answers)
		return true;
	s = bpf_map_lookup_elem(&servers, &index);
	index = s ? s->service : 0;
	vip = bpf_map_lookup_elem(&service_vips, &index);
	if (!s || !vip)
		return false;
	k->to = *vip;
	k->ports = ports_word(ports_destination(l->ports), l->of.out.vport, ports_protocol(l->ports));
	return true;
}

/*
 * flow_writeback stores a line's last-use time in its connection before the line is
 * reused.
 */
static INLINE void flow_writeback(struct flow_key *key, const struct flow_line *l)
{
	struct conn *c;

	if (!l->generation || !flow_client_key(key, l))
		return;
	c = conn_find(key);
	if (c && conn_server(c->word) == l->server && (__s32)(l->used - c->stamp) > 0)
		c->stamp = l->used;
}

/* settle_pair is flow_writeback for the two lines of a pair, for bpf_loop; it empties them if it is asked to. */
static long settle_pair(__u32 turn, struct flow_pairs *some)
{
	__u32 chunk = some->chunk, at = some->first + turn;
	void *pairs = bpf_map_lookup_elem(&flow_chunks, &chunk);
	struct flow_pair *pair = pairs ? bpf_map_lookup_elem(pairs, &at) : NULL;
	struct flow_key key;

	if (!pair)
		return 1;
	flow_writeback(&key, &pair->line[0]);
	flow_writeback(&key, &pair->line[1]);
	if (some->empty) {
		pair->line[0].generation = 0;
		pair->line[1].generation = 0;
	}
	return 0;
}

/*
 * service_has_vip says whether this is the service's only address. A line of answers
 * does not store the virtual address but finds it by its service.
 */
static INLINE bool service_has_vip(__u32 service, const struct addr *vip)
{
	struct addr *own = bpf_map_lookup_elem(&service_vips, &service);

	return own && same_addr(own, vip);
}

/*
 * flow_insert gives the packet's flow a line on this CPU: the client's packets, or, with answers,
 * the server's. Behind NAT w->csum and w->csum_ports are what they get adds to a sum. Connections of
 * local clients have no lines: a local socket costs more than the look-up.
 */
static NOINLINE void flow_insert(struct work *w, struct conn *c, bool answers, __u32 now)
{
	const struct packet *p = &w->packet;
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 bit = 1U << (cpu & 31);
	__u64 word = c->word;
	struct flow_line *l;

	if (p->local_out || conn_method(word) & METHOD_LOCAL_CLIENT || !flow_state(conn_state(word)))
		return;
	if (answers ? !service_has_vip(c->service, &c->key.to) :
		    !may_cache(w->origin, conn_server(word), conn_method(word)))
		return;
	l = flow_victim(&p->key, cpu, now);
	if (!l)
		return;
	if (!flow_matches(l, &p->key))
		flow_writeback(&w->other_key, l);
	if (!(c->cached & bit))
		__sync_fetch_and_or(&c->cached, bit);
	l->generation = 0;
	l->ports = p->key.ports;
	l->server = conn_server(word);
	l->used = now;
	if (answers) {
		l->peer = p->key.to;
		l->of.out.route = c->route;
		l->of.out.vport = ports_destination(c->key.ports);
	} else {
		l->peer = p->key.from;
		l->of.in.vip = p->key.to;
		l->of.in.sender = p->sender;
	}
	l->answers = ANSWERS_NOT;
	if (answers)
		l->answers = reply_by_tc(&c->route, p->ifindex) ? ANSWERS_BY_TC : ANSWERS;
	l->method = conn_method(word);
	l->csum = w->csum;
	__sync_lock_test_and_set(&l->generation, flow_knobs.generation << FLOW_GENERATION_SHIFT | w->csum_ports);
	if (c->word != word || !(c->cached & bit))
		l->generation = 0;
}

#endif
