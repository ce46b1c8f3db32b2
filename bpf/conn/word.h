/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * word.h - the word of a connection (struct conn in abi.h): incarnation << 40 | method
 * << 36 | state << 32 | the server's index. Method and state have 4 bits each.
 */
#ifndef WEIR_CONN_WORD_H
#define WEIR_CONN_WORD_H

#include "abi.h"
#include "base/bpf.h"

#define WORD_STATE_SHIFT 32
#define WORD_METHOD_SHIFT 36
#define WORD_INCARNATION_SHIFT 40
#define WORD_FIELD 15ULL

/* conn_server is the index of the connection's server. */
static INLINE __u32 conn_server(__u64 word)
{
	return (__u32)word;
}

/* conn_state is the connection's state (enum conn_state). */
static INLINE __u32 conn_state(__u64 word)
{
	return (word >> WORD_STATE_SHIFT) & WORD_FIELD;
}

/*
 * conn_method is how the connection's packets reach its server (enum method, with its
 * flags).
 */
static INLINE __u32 conn_method(__u64 word)
{
	return (word >> WORD_METHOD_SHIFT) & WORD_FIELD;
}

/* conn_nat says whether the connection's server is behind NAT. */
static INLINE bool conn_nat(__u64 word)
{
	return METHOD_OF(conn_method(word)) == METHOD_NAT;
}

/* conn_incarnation is the number of the connection's incarnation, of 24 bits. */
static INLINE __u32 conn_incarnation(__u64 word)
{
	return word >> WORD_INCARNATION_SHIFT;
}

/* conn_word is the word of a new incarnation: the one after that of another word. */
static INLINE __u64 conn_word(__u64 before, __u32 method, __u32 state, __u32 server)
{
	return (((before >> WORD_INCARNATION_SHIFT) + 1) << WORD_INCARNATION_SHIFT) |
	       (__u64)method << WORD_METHOD_SHIFT | (__u64)state << WORD_STATE_SHIFT | server;
}

/* conn_word_to is the word in another state, of the same incarnation. */
static INLINE __u64 conn_word_to(__u64 word, __u32 state)
{
	return (word & ~(WORD_FIELD << WORD_STATE_SHIFT)) | (__u64)state << WORD_STATE_SHIFT;
}

/* conn_word_of is a word of the same incarnation as another. */
static INLINE __u64 conn_word_of(__u64 word, __u32 method, __u32 state, __u32 server)
{
	return (word >> WORD_INCARNATION_SHIFT << WORD_INCARNATION_SHIFT) | (__u64)method << WORD_METHOD_SHIFT |
	       (__u64)state << WORD_STATE_SHIFT | server;
}

/* The states of a slot that has no connection, as bits. */
#define STATES_WITHOUT (1U << STATE_NONE | 1U << STATE_NEW | 1U << STATE_GONE)

/* conn_lives says whether the word is a connection's. */
static INLINE bool conn_lives(__u64 word)
{
	return !(STATES_WITHOUT >> conn_state(word) & 1);
}

/*
 * conn_gone_word is the word of an entry that is about to be deleted. Whoever exchanges
 * it for the entry's word may delete the entry.
 */
static INLINE __u64 conn_gone_word(__u64 word)
{
	return conn_word(word, conn_method(word), STATE_GONE, conn_server(word));
}

#endif
