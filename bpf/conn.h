/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* conn.h - connections: their states, their time, their table. */
#ifndef WEIR_CONN_H
#define WEIR_CONN_H

#define NO_SERVER (~0U)

static INLINE __u32 tick(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

static INLINE __u32 conn_server(__u64 word)
{
	return (__u32)word;
}

static INLINE __u32 conn_state(__u64 word)
{
	return (__u8)(word >> 32);
}

static INLINE __u64 conn_word(__u64 old, __u32 state, __u32 server)
{
	return (((old >> 40) + 1) << 40) | (__u64)state << 32 | server;
}

/*
 * The state after a TCP packet of the client when the replies are not seen
 * (direct routing): the INPUT_ONLY rows of tcp_states in
 * net/netfilter/ipvs/ip_vs_proto_tcp.c. One row an event, a nibble a state.
 */
#define ROW(no, es, ss, sr, fw, tw, cl, cw, la, li, sa)                                            \
	(STATE_##no | (__u64)STATE_##es << 4 | (__u64)STATE_##ss << 8 | (__u64)STATE_##sr << 12 |  \
	 (__u64)STATE_##fw << 16 | (__u64)STATE_##tw << 20 | (__u64)STATE_##cl << 24 |             \
	 (__u64)STATE_##cw << 28 | (__u64)STATE_##la << 32 | (__u64)STATE_##li << 36 |             \
	 (__u64)STATE_##sa << 40)
#define ROW_SYN                                                                                    \
	ROW(SYN_RECV, ESTABLISHED, ESTABLISHED, SYN_RECV, SYN_RECV, SYN_RECV, SYN_RECV, SYN_RECV,  \
	    SYN_RECV, SYN_RECV, SYN_RECV)
#define ROW_FIN                                                                                    \
	ROW(CLOSE, FIN_WAIT, SYN_SENT, TIME_WAIT, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT,          \
	    LAST_ACK, LISTEN, TIME_WAIT)
#define ROW_ACK                                                                                    \
	ROW(ESTABLISHED, ESTABLISHED, ESTABLISHED, ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE,        \
	    CLOSE_WAIT, CLOSE, LISTEN, ESTABLISHED)
#define ROW_RST                                                                                    \
	ROW(CLOSE, CLOSE, CLOSE, SYN_RECV, CLOSE, CLOSE, CLOSE, CLOSE, LAST_ACK, LISTEN, CLOSE)

static INLINE __u32 tcp_next(__u32 state, __u8 flags)
{
	__u64 row;

	/* The order of tcp_state_idx: RST, SYN, FIN, ACK. */
	if (flags & TCP_RST)
		row = ROW_RST;
	else if (flags & TCP_SYN)
		row = ROW_SYN;
	else if (flags & TCP_FIN)
		row = ROW_FIN;
	else if (flags & TCP_ACK)
		row = ROW_ACK;
	else
		return state;
	return (row >> (state * 4 & 63)) & 15;
}

static INLINE bool overdue(const struct conn *c, __u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit && (__s32)(now - c->stamp) > (__s32)*limit;
}

/* A new client's SYN may take over an entry whose connection has ended. */
static INLINE bool ended(__u32 state)
{
	return state == STATE_TIME_WAIT || state == STATE_CLOSE;
}

/*
 * conn_advance moves the connection to the state that the packet leads to, and
 * stamps it. It loses only against another CPU that changed the entry first,
 * whose word then stands.
 */
static INLINE void conn_advance(struct conn *c, __u64 word, const struct packet *p, __u32 now)
{
	__u32 state = conn_state(word), next;

	if (c->stamp != now)
		c->stamp = now;
	if (p->protocol != IPPROTO_TCP)
		return;
	next = tcp_next(state, p->tcp_flags);
	if (next == state)
		return;
	if (__sync_val_compare_and_swap(&c->word, word,
					(word & ~(0xffULL << 32)) | (__u64)next << 32) == word)
		load_move(conn_server(word), state, next);
}

/*
 * conn_remember enters the packet's flow with this server: anew, or in the
 * place of an entry whose time is over (old, with the word that was read). It
 * returns the server that the flow has now, which is another CPU's choice
 * where that one was faster, or NO_SERVER where the sweep was.
 */
static INLINE __u32 conn_remember(struct packet *p, struct conn *old, __u64 word, __u32 service,
				  __u32 server, __u32 now)
{
	__u32 state = p->protocol == IPPROTO_TCP ? STATE_SYN_RECV : STATE_UDP;
	/* A new entry's incarnation is any but the one that its place had before. */
	__u64 before = old ? word : (__u64)bpf_get_prandom_u32() << 40;
	struct conn fresh = {
		.word = conn_word(before, state, server),
		.service = service,
		.stamp = now,
	};
	long err;

	if (old) {
		__u64 was;

		/* Stamped first, so that no sweep takes the new connection for the old. */
		old->stamp = now;
		was = __sync_val_compare_and_swap(&old->word, word, fresh.word);
		if (was != word)
			return conn_state(was) == STATE_GONE ? NO_SERVER : conn_server(was);
		old->service = service;
		load_add(conn_server(word), conn_state(word), -1);
		load_add(server, state, 1);
		return server;
	}
	err = bpf_map_update_elem(&conns, &p->key, &fresh, BPF_NOEXIST);
	if (!err) {
		load_add(server, state, 1);
		return server;
	}
	old = bpf_map_lookup_elem(&conns, &p->key);
	if (old)
		return conn_server(old->word);
	note(NOTE_TABLE_FULL);
	return server;
}

/*
 * conn_drop deletes a connection whose word was read. Whoever wins the word
 * counts it out.
 */
static INLINE void conn_drop(struct packet *p, struct conn *c, __u64 word)
{
	__u32 state = conn_state(word), server = conn_server(word);

	if (__sync_val_compare_and_swap(&c->word, word, conn_word(word, STATE_GONE, server)) != word)
		return;
	load_add(server, state, -1);
	bpf_map_delete_elem(&conns, &p->key);
}

/* sweep_one deletes a connection whose time is over. */
static long sweep_one(void *map, struct flow_key *key, struct conn *c, struct sweep *s)
{
	__u64 word = c->word;
	__u32 state = conn_state(word), index = conn_server(word);
	struct server *server;

	if (overdue(c, state, s->now) &&
	    __sync_val_compare_and_swap(&c->word, word, conn_word(word, STATE_GONE, index)) == word) {
		load_add(index, state, -1);
		bpf_map_delete_elem(map, key);
		s->expired++;
		return 0;
	}
	s->live++;
	server = bpf_map_lookup_elem(&servers, &index);
	if (server)
		server->swept = s->epoch;
	return 0;
}

#endif
