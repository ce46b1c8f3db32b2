/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * word.h - the word of a connection (struct conn in abi.h): incarnation << 40 | method
 * << 36 | state << 32 | the server's index.
 */
#ifndef WEIR_CONN_WORD_H
#define WEIR_CONN_WORD_H

#include "abi.h"
#include "base/bpf.h"

/* conn_server is the index of the connection's server. */
static INLINE __u32 conn_server(__u64 word)
{
	return (__u32)word;
}

/* conn_state is the connection's state (enum conn_state). */
static INLINE __u32 conn_state(__u64 word)
{
	return (word >> 32) & 15;
}

/*
 * conn_method is how the connection's packets reach its server (enum method, with its
 * flags).
 */
static INLINE __u32 conn_method(__u64 word)
{
	return (word >> 36) & 15;
}

/* conn_nat says whether the connection's server is behind NAT. */
static INLINE bool conn_nat(__u64 word)
{
	return METHOD_OF(conn_method(word)) == METHOD_NAT;
}

/* conn_has_reply says whether the connection has an entry for its other direction. */
static INLINE bool conn_has_reply(__u64 word)
{
	return conn_nat(word) || conn_method(word) & METHOD_OWN;
}

/* conn_word is the word of a new incarnation: the one after that of another word. */
static INLINE __u64 conn_word(__u64 before, __u32 method, __u32 state, __u32 server)
{
	return (((before >> 40) + 1) << 40) | (__u64)method << 36 | (__u64)state << 32 | server;
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
