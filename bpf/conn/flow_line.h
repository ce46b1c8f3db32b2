/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flow_line.h - the lines of the flow cache: 64 bytes for each established flow. A
 * packet that changes no state touches its line and its server, and nothing else.
 */
#ifndef WEIR_CONN_FLOW_LINE_H
#define WEIR_CONN_FLOW_LINE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "parse/address.h"

/*
 * Each CPU has some chunks of flow_chunk_pairs pairs of lines, flow_chunks_most at most, and
 * flow_cpus is the number of CPUs. Go sets these, and how many chunks there are now
 * (flow_knobs.chunks).
 */
volatile const __u32 flow_chunk_pairs = 2;
volatile const __u32 flow_chunks_most = 1;
volatile const __u32 flow_cpus = 1;

/* flow_hash is a keyed hash of a flow. Its high bits are the good ones. */
static INLINE __u64 flow_hash(const struct flow_key *k)
{
	const __u64 *seed = flow_knobs.seed;
	__u64 sum = k->from.hi * seed[0] + k->from.lo * seed[1] + k->to.hi * seed[2] + k->to.lo * seed[3] +
		    k->ports * seed[4];

	/* The sums of flows whose ports follow each other are equally far apart. */
	return (sum ^ sum >> 32) * GOLDEN_64;
}

/*
 * A flow may have one of so many lines on a CPU: two lines beside each other, in one of several
 * places. Where many flows meet in one place, few do in all; a flow without a line takes the full
 * path with each packet.
 */
#define FLOW_PLACES 4
#define FLOW_WAYS (2 * FLOW_PLACES)

/* flow_pair is the pair of lines in one of the flow's places on a CPU, or NULL. */
static INLINE struct flow_pair *flow_pair(__u64 hash, __u32 cpu, __u32 place)
{
	__u32 at, chunk;
	void *pairs;

	if (place)
		hash = (hash ^ hash >> 32) * (GOLDEN_64 - 2 + 2 * place);
	at = (hash >> 32) * flow_chunk_pairs >> 32;
	chunk = cpu * flow_chunks_most + ((__u32)(hash >> 32) & flow_knobs.chunks);
	pairs = bpf_map_lookup_elem(&flow_chunks, &chunk);
	return pairs ? bpf_map_lookup_elem(pairs, &at) : NULL;
}

/*
 * flow_line is the line that the flow may have on a CPU, by its way from 0 to FLOW_WAYS
 * - 1, or NULL.
 */
static INLINE struct flow_line *flow_line(__u64 hash, __u32 cpu, __u32 way)
{
	struct flow_pair *pair = flow_pair(hash, cpu, way / 2);
	__u32 one = way & 1;

	asm volatile("" : "+r"(one)); /* so that the verifier sees that it is 0 or 1 */
	return pair ? &pair->line[one] : NULL;
}

/* flow_matches says whether the line is the flow's. It does not look at the line's age. */
static INLINE bool flow_matches(const struct flow_line *l, const struct flow_key *k)
{
	if (l->ports != k->ports)
		return false;
	if (l->answers)
		return same_addr(&l->peer, &k->to);
	return same_addr(&l->peer, &k->from) && same_addr(&l->of.in.vip, &k->to);
}

/*
 * flow_match_pair is the flow's line if it is one of the pair, or NULL. It selects the
 * line without a branch: no CPU can predict that branch, and a CPU that predicts it
 * wrongly waits for memory.
 */
static INLINE struct flow_line *flow_match_pair(struct flow_pair *pair, const struct flow_key *k)
{
	struct flow_line *l;
	__u64 differs, negative;

	if (!pair)
		return NULL;
	differs = pair->line[0].ports ^ k->ports;
	negative = -differs;
	asm volatile("" : "+r"(negative)); /* so that the compiler does not make a branch of it */
	l = &pair->line[(differs | negative) >> 63];
	return flow_matches(l, k) ? l : NULL;
}

/* flow_find_far is the flow's line in another than its first place, or NULL. */
static NOINLINE struct flow_line *flow_find_far(__u64 hash, __u32 cpu, const struct flow_key *k)
{
	for (__u32 place = 1; place < FLOW_PLACES; place++) {
		struct flow_line *l = flow_match_pair(flow_pair(hash, cpu, place), k);

		if (l)
			return l;
	}
	return NULL;
}

/* flow_current says whether a line's generation is the current one. */
static INLINE bool flow_current(__u32 generation)
{
	return generation >> FLOW_GENERATION_SHIFT == flow_knobs.generation;
}

/*
 * flow_find is the flow's line on this CPU, stamped as used now, or NULL. A line is good
 * while its generation is the current one and it was used within the idle time. It sets
 * csum_ports to that of the line.
 */
static INLINE struct flow_line *flow_find(const struct flow_key *k, __u16 *csum_ports)
{
	__u32 cpu = bpf_get_smp_processor_id(), now = tick(), generation;
	__u64 hash = flow_hash(k);
	struct flow_line *l;

	asm volatile("" : "+r"(now)); /* so that the compiler keeps it, and not all that it follows from */
	l = flow_match_pair(flow_pair(hash, cpu, 0), k);
	if (!l)
		l = flow_find_far(hash, cpu, k);
	if (!l)
		return NULL;
	generation = *(volatile __u32 *)&l->generation;
	if (!flow_current(generation) || now - l->used > flow_knobs.idle)
		return NULL;
	*csum_ports = generation;
	if (l->used != now)
		l->used = now;
	return l;
}

#endif
