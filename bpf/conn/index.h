/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * index.h - which slot the packets of a flow belong to. The index is an array of buckets of one
 * cache line. A bucket has references: 32 bits of the flow's hash, and a slot's place. A
 * connection behind NAT, and a local client's, has two: one for the client's packets and one for
 * the server's answers. A flow's reference stands in the bucket that its hash tells, or, where
 * that is full, in another one; then the first one counts it, so that only those who need to look
 * into both.
 *
 * References come and go by one compare-and-exchange. One may lead to a slot that has become
 * another connection's meanwhile: whoever follows it compares the key.
 *
 * Go makes a larger index together with more slots. From then on references are entered into that
 * one; weir_move enters those to the connections that there were, which are looked for in the one
 * before, too, until it is done.
 */
#ifndef WEIR_CONN_INDEX_H
#define WEIR_CONN_INDEX_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "conn/flow_line.h"
#include "conn/slots.h"
#include "conn/word.h"
#include "parse/ports.h"
#include "service/server.h"

/* The buckets stand in chunks of so many that a shift by this tells which. Go sets it. */
volatile const __u32 index_chunk_shift = 31;

/*
 * A flow may stand in one of so many buckets. The first ones are odd multiples of its hash, and of
 * some hashes these are all in few buckets, or in one. The others follow from the hash in another
 * way.
 */
#define INDEX_CHOICES 10
#define INDEX_MULTIPLES 8
#define INDEX_SPREAD 0x85ebca6b

/* A reference: the flow's hash << 32 | REF_ANSWERS | the slot's place, counted from 1. */
#define REF_ANSWERS 0x80000000

/* index_hash is the hash by which a flow is found. */
static INLINE __u32 index_hash(const struct flow_key *key)
{
	return flow_hash(key) >> 32;
}

/* ref_of is a flow's reference to a place, with REF_ANSWERS for the answers. */
static INLINE __u64 ref_of(__u32 hash, __u32 place)
{
	return (__u64)hash << 32 | place;
}

/* ref_hash is the hash of a reference, which is read alone. */
static INLINE __u32 ref_hash(const __u64 *ref)
{
	return ((const volatile __u32 *)ref)[1];
}

/* ref_place is the place that a reference leads to. */
static INLINE __u32 ref_place(__u64 ref)
{
	return (__u32)ref & ~REF_ANSWERS;
}

/*
 * bucket_of is the bucket of a flow by one of its choices, in an index: that is its place in
 * conn_index << INDEX_PLACE_SHIFT | the logarithm of how many buckets it has. NULL: there is none.
 */
static INLINE struct bucket *bucket_of(__u32 index, __u32 hash, __u32 choice)
{
	__u64 spread;
	__u32 chunk, at;
	void *buckets;

	if (choice >= INDEX_MULTIPLES)
		hash ^= choice * INDEX_SPREAD;
	spread = (2 * choice + 1) * GOLDEN_64 * hash;
	at = spread >> (64 - (index & INDEX_BITS));
	chunk = (index >> INDEX_PLACE_SHIFT) + (at >> index_chunk_shift);
	at &= (1U << index_chunk_shift) - 1;
	buckets = bpf_map_lookup_elem(&conn_index, &chunk);
	return buckets ? bpf_map_lookup_elem(buckets, &at) : NULL;
}

/* differ is 0 where two addresses are equal. */
static INLINE __u64 differ(const struct addr *a, const struct addr *b)
{
	return (a->hi ^ b->hi) | (a->lo ^ b->lo);
}

/* same_flow says whether two keys are equal. It has one branch, for the verifier's sake. */
static INLINE bool same_flow(const struct flow_key *a, const struct flow_key *b)
{
	return !((a->ports ^ b->ports) | differ(&a->from, &b->from) | differ(&a->to, &b->to));
}

/*
 * conn_answers says whether the key, of the hash c->answers, is that of the answers to a connection.
 * Of a local client the own address is not compared, which may have changed since.
 */
static INLINE bool conn_answers(const struct conn *c, __u64 word, const struct flow_key *key)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	__u16 port = ports_destination(c->key.ports);
	const struct addr *from = &c->key.to;
	__u64 others = 0;

	if (!s)
		return false;
	if (conn_nat(word)) {
		port = port_at(s, conn_method(word), &c->key);
		from = &s->addr;
		others = differ(&key->to, &c->key.from);
	}
	return !(others | differ(&key->from, from) |
		 (key->ports ^ ports_word(port, ports_source(c->key.ports), ports_protocol(c->key.ports))));
}

/*
 * What conn_look finds: the reference's lower half (a place, with REF_ANSWERS) << 32 | the
 * connection's incarnation; or 0.
 */
static INLINE __u64 found_of(__u64 ref, __u64 word)
{
	return ref << 32 | conn_incarnation(word);
}

/*
 * ref_leads is what a reference leads to where that has packets, or answers, with the key; or 0. With
 * beside it is not what stands at that place, which a CPU is about to begin, but also a connection
 * that another CPU is about to begin: of those the one with the lower place stays, and the other is
 * ended.
 */
static INLINE __u64 ref_leads(__u64 ref, const struct flow_key *key, __u32 beside)
{
	struct conn *c = conn_at(ref_place(ref));
	__u64 word;

	if (!c || (beside && (ref_place(ref) == beside || ref & REF_ANSWERS)))
		return 0;
	word = *(volatile __u64 *)&c->word;
	if (ref & REF_ANSWERS ? !conn_answers(c, word, key) : !same_flow(&c->key, key))
		return 0;
	if (beside && conn_state(word) == STATE_NEW)
		return ref_place(ref) < beside ||
			       __sync_val_compare_and_swap(&c->word, word, conn_word_to(word, STATE_GONE)) != word ?
			       found_of(ref, word) : 0;
	/* Another incarnation may have another key. */
	return conn_lives(word) && conn_incarnation(*(volatile __u64 *)&c->word) == conn_incarnation(word) ?
		       found_of(ref, word) : 0;
}

/*
 * bucket_hits is which references of a bucket have this hash: bit n for number n. It has no branches,
 * so that the verifier does not go through all that they might have been.
 */
static INLINE __u64 bucket_hits(const struct bucket *b, __u32 hash)
{
	__u64 hits = 0;

#pragma unroll
	for (__u32 i = 0; i < BUCKET_REFS; i++) {
		__u64 differs = ref_hash(&b->refs[i]) ^ hash;

		hits |= (differs - 1) >> 63 << i;
	}
	return hits;
}

/*
 * index_seek is the connection that packets with this key, of this hash, belong to (found_of), or 0;
 * beside is that of ref_leads. It is a global function, which the verifier goes through once.
 */
__noinline __u64 index_seek(__u32 hash, const struct flow_key *key, __u32 beside)
{
	__u32 index = slot_sizes.index;

	if (!key)
		return 0;
	for (__u32 at = 0; at < 2 * INDEX_CHOICES; at++) {
		__u32 choice = at % INDEX_CHOICES;
		struct bucket *b = bucket_of(index, hash, choice);
		__u64 hits = b ? bucket_hits(b, hash) : 0;

		for (__u32 i = 0; hits && i < BUCKET_REFS; i++, hits >>= 1) {
			__u64 ref = *(volatile __u64 *)&b->refs[i];
			__u64 found = hits & 1 && ref ? ref_leads(ref, key, beside) : 0;

			if (found)
				return found;
		}
		if (b && (choice ? choice < INDEX_CHOICES - 1 : b->more))
			continue;
		if (at >= INDEX_CHOICES || !slot_sizes.before)
			return 0;
		index = slot_sizes.before;
		at = INDEX_CHOICES - 1;
	}
	return 0;
}

/* conn_look is the connection that packets with this key belong to (found_of), or 0. */
static INLINE __u64 conn_look(const struct flow_key *key)
{
	return index_seek(index_hash(key), key, 0);
}

/* found_answers says whether the key was that of the answers to a connection. */
static INLINE bool found_answers(__u64 found)
{
	return found >> 63;
}

/* found_place is the place of the connection that was found. */
static INLINE __u32 found_place(__u64 found)
{
	return found >> 32 & ~REF_ANSWERS;
}

/*
 * found_conn is the connection that was found, and its word; or NULL where there was none, or
 * where it has ended since: then the slot may be another one's.
 */
static INLINE struct conn *found_conn(__u64 found, __u64 *word)
{
	struct conn *c = found ? conn_at(found_place(found)) : NULL;

	if (!c)
		return NULL;
	*word = *(volatile __u64 *)&c->word;
	return conn_lives(*word) && conn_incarnation(*word) == (__u32)found ? c : NULL;
}

/* conn_find is the connection of a client's packets with this key, or NULL. */
static INLINE struct conn *conn_find(const struct flow_key *key)
{
	__u64 found = conn_look(key), word;

	return found_answers(found) ? NULL : found_conn(found, &word);
}

/* What index_enter returns; 0: there is no room. */
#define INDEX_ALONE 1  /* no reference to another connection of this flow stood there */
#define INDEX_BESIDE 2 /* one may have: index_seek tells */

/*
 * index_alone says whether a reference that has just been entered into its flow's first bucket, in
 * this index, is the only one that a search for the flow would follow. Of two CPUs that enter the same
 * flow at once at least one sees the other's, since each enters its own before.
 */
static INLINE bool index_alone(const struct bucket *first, __u32 index, __u32 hash)
{
	volatile struct slot_sizes *sizes = &slot_sizes;
	__u64 hits = bucket_hits(first, hash);

	return !(hits & (hits - 1)) && !*(volatile __u32 *)&first->more && sizes->index == index && !sizes->before;
}

/* index_enter enters a reference to a place into the index. */
__noinline int index_enter(__u32 hash, __u32 place)
{
	__u64 ref = ref_of(hash, place);
	__u32 index = slot_sizes.index;
	struct bucket *first = bucket_of(index, hash, 0);

	for (__u32 choice = 0; first && choice < INDEX_CHOICES; choice++) {
		struct bucket *b = choice ? bucket_of(index, hash, choice) : first;

		if (!b)
			return 0;
		if (choice == 1) /* ahead of the reference, which nobody would find otherwise */
			__sync_fetch_and_add(&first->more, 1);
		for (__u32 i = 0; i < BUCKET_REFS; i++)
			if (!b->refs[i] && __sync_val_compare_and_swap(&b->refs[i], 0, ref) == 0)
				return !choice && index_alone(first, index, hash) ? INDEX_ALONE : INDEX_BESIDE;
	}
	if (first)
		__sync_fetch_and_add(&first->more, -1);
	return 0;
}

/* index_drop drops a reference from one index. */
static INLINE void index_drop(__u32 index, __u32 hash, __u64 ref)
{
	struct bucket *first = bucket_of(index, hash, 0);

	for (__u32 choice = 0; first && choice < INDEX_CHOICES; choice++) {
		struct bucket *b = choice ? bucket_of(index, hash, choice) : first;

		if (!b)
			return;
		for (__u32 i = 0; i < BUCKET_REFS; i++)
			if (b->refs[i] == ref && __sync_val_compare_and_swap(&b->refs[i], ref, 0) == ref) {
				if (choice)
					__sync_fetch_and_add(&first->more, -1);
				return;
			}
		if (!first->more)
			return;
	}
}

/* index_has says whether a reference stands in the index in force. */
static INLINE bool index_has(__u32 hash, __u64 ref)
{
	for (__u32 choice = 0; choice < INDEX_CHOICES; choice++) {
		struct bucket *b = bucket_of(slot_sizes.index, hash, choice);

		if (!b)
			return false;
		for (__u32 i = 0; i < BUCKET_REFS; i++)
			if (b->refs[i] == ref)
				return true;
	}
	return false;
}

/* What index_move returns; 0: there is no room. */
#define INDEX_HAD 1
#define INDEX_ENTERED 2

/* index_move enters a flow's reference to a place into the index in force, unless it stands there. */
__noinline int index_move(__u32 hash, __u32 place)
{
	if (index_has(hash, ref_of(hash, place)))
		return INDEX_HAD;
	return index_enter(hash, place) ? INDEX_ENTERED : 0;
}

/* index_take_back drops what index_move has entered. Its result means nothing. */
__noinline int index_take_back(__u32 hash, __u32 place)
{
	index_drop(slot_sizes.index, hash, ref_of(hash, place));
	return 0;
}

/* index_leave drops a flow's reference to a place from every index. Its result means nothing. */
__noinline int index_leave(__u32 hash, __u32 place)
{
	index_drop(slot_sizes.index, hash, ref_of(hash, place));
	if (slot_sizes.before)
		index_drop(slot_sizes.before, hash, ref_of(hash, place));
	return 0;
}

#endif
