/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* conn.h - connections: their states, their time, their table. */
#ifndef WEIR_CONN_H
#define WEIR_CONN_H

#define NO_SERVER (~0U)

/* flow.h: for whoever has changed the word of a connection. */
static NOINLINE void flow_forget(const struct flow_key *key, struct conn *c, __u64 word);
/* flow.h: for whoever would end one for its silence. */
static NOINLINE bool flow_heard(const struct flow_key *key, struct conn *c, __u32 now, __u32 limit);
/* persist.h: for whoever makes or ends one that came by a template. */
static INLINE void template_holds(const struct template_key *key, int n);
/* room.h: for whoever has changed a connection's state. */
static INLINE void half_open_moves(const struct flow_key *key, __u64 word, __u32 from, __u32 to);
static INLINE void room_lacks(struct room *r, __u32 now);

/*
 * tick is the time of stamps: the coarse monotonic clock in units of 1 << TICK_SHIFT
 * ns, give or take a jiffy. The kernel has a program read jiffies without a call, which
 * costs a tenth of what the clock itself does.
 */
static INLINE __u32 tick(void)
{
	__u32 zero = 0;
	struct clock *c = bpf_map_lookup_elem(&clocks, &zero);

	return c ? (bpf_jiffies64() - c->first) * c->jiffy >> TICK_SHIFT : 0;
}

static INLINE __u32 conn_server(__u64 word)
{
	return (__u32)word;
}

static INLINE __u32 conn_state(__u64 word)
{
	return (word >> 32) & 15;
}

/* conn_method is how the connection's packets reach its server (enum method). */
static INLINE __u32 conn_method(__u64 word)
{
	return (word >> 36) & 15;
}

static INLINE bool conn_nat(__u64 word)
{
	return METHOD_OF(conn_method(word)) == METHOD_NAT;
}

/* conn_answered says whether the connection has an entry for what comes back. */
static INLINE bool conn_answered(__u64 word)
{
	return conn_nat(word) || conn_method(word) & METHOD_OWN;
}

/* conn_word is the word that comes after another: a new incarnation. */
static INLINE __u64 conn_word(__u64 before, __u32 method, __u32 state, __u32 server)
{
	return (((before >> 40) + 1) << 40) | (__u64)method << 36 | (__u64)state << 32 | server;
}

/* conn_gone is the word of somebody who has taken the entry to delete it. */
static INLINE __u64 conn_gone(__u64 word)
{
	return conn_word(word, conn_method(word), STATE_GONE, conn_server(word));
}

/*
 * The TCP states' table: tcp_states in net/netfilter/ipvs/ip_vs_proto_tcp.c. One
 * row an event, a nibble a state. INPUT is the client's packets and OUTPUT the
 * server's where both are seen (NAT), ONLY the client's where replies are not.
 */
#define ROW(no, es, ss, sr, fw, tw, cl, cw, la, li, sa)                                            \
	(STATE_##no | (__u64)STATE_##es << 4 | (__u64)STATE_##ss << 8 | (__u64)STATE_##sr << 12 |  \
	 (__u64)STATE_##fw << 16 | (__u64)STATE_##tw << 20 | (__u64)STATE_##cl << 24 |             \
	 (__u64)STATE_##cw << 28 | (__u64)STATE_##la << 32 | (__u64)STATE_##li << 36 |             \
	 (__u64)STATE_##sa << 40)
#define INPUT_SYN                                                                                  \
	ROW(SYN_RECV, ESTABLISHED, ESTABLISHED, SYN_RECV, SYN_RECV, SYN_RECV, SYN_RECV, SYN_RECV,  \
	    SYN_RECV, SYN_RECV, SYN_RECV)
#define INPUT_FIN                                                                                  \
	ROW(CLOSE, CLOSE_WAIT, SYN_SENT, TIME_WAIT, TIME_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT,       \
	    LAST_ACK, LISTEN, TIME_WAIT)
#define INPUT_ACK                                                                                  \
	ROW(ESTABLISHED, ESTABLISHED, SYN_SENT, ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE,           \
	    CLOSE_WAIT, CLOSE, LISTEN, ESTABLISHED)
#define INPUT_RST                                                                                  \
	ROW(CLOSE, CLOSE, CLOSE, SYN_RECV, CLOSE, CLOSE, CLOSE, CLOSE, LAST_ACK, LISTEN, SYN_RECV)
#define OUTPUT_SYN                                                                                 \
	ROW(SYN_SENT, ESTABLISHED, SYN_SENT, SYN_RECV, SYN_SENT, SYN_SENT, SYN_SENT, SYN_SENT,     \
	    SYN_SENT, LISTEN, SYN_RECV)
#define OUTPUT_FIN                                                                                 \
	ROW(TIME_WAIT, FIN_WAIT, SYN_SENT, TIME_WAIT, FIN_WAIT, TIME_WAIT, CLOSE, TIME_WAIT,       \
	    LAST_ACK, LISTEN, TIME_WAIT)
#define OUTPUT_ACK                                                                                 \
	ROW(ESTABLISHED, ESTABLISHED, SYN_SENT, ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE,           \
	    CLOSE_WAIT, LAST_ACK, ESTABLISHED, ESTABLISHED)
#define OUTPUT_RST                                                                                 \
	ROW(CLOSE, CLOSE, SYN_SENT, CLOSE, CLOSE, TIME_WAIT, CLOSE, CLOSE, CLOSE, CLOSE, CLOSE)
#define ONLY_SYN INPUT_SYN
#define ONLY_FIN                                                                                   \
	ROW(CLOSE, FIN_WAIT, SYN_SENT, TIME_WAIT, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT,          \
	    LAST_ACK, LISTEN, TIME_WAIT)
#define ONLY_ACK INPUT_ACK
#define ONLY_RST                                                                                   \
	ROW(CLOSE, CLOSE, CLOSE, SYN_RECV, CLOSE, CLOSE, CLOSE, CLOSE, LAST_ACK, LISTEN, CLOSE)

enum direction {
	INPUT,
	OUTPUT,
	ONLY,
};

#define ROW_OF(d_, event_)                                                                         \
	((d_) == INPUT ? INPUT_##event_ : (d_) == OUTPUT ? OUTPUT_##event_ : ONLY_##event_)

static INLINE __u32 tcp_next(enum direction d, __u32 state, __u8 flags)
{
	__u64 row;

	if (state == STATE_ESTABLISHED && !(flags & (TCP_RST | TCP_SYN | TCP_FIN)))
		return state;
	/* The order of tcp_state_idx: RST, SYN, FIN, ACK. */
	if (flags & TCP_RST)
		row = ROW_OF(d, RST);
	else if (flags & TCP_SYN)
		row = ROW_OF(d, SYN);
	else if (flags & TCP_FIN)
		row = ROW_OF(d, FIN);
	else if (flags & TCP_ACK)
		row = ROW_OF(d, ACK);
	else
		return state;
	return (row >> (state * 4 & 63)) & 15;
}

/* overdue says whether the connection has been silent for longer than its state allows. */
static INLINE bool overdue(const struct flow_key *key, struct conn *c, __u32 state, __u32 now)
{
	__u32 *limit = bpf_map_lookup_elem(&timeouts, &state);

	return limit && (__s32)(now - c->stamp) > (__s32)*limit && !flow_heard(key, c, now, *limit);
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
static INLINE void conn_advance(const struct flow_key *key, struct conn *c, __u64 word, const struct packet *p, __u32 now,
				enum direction d)
{
	__u32 state = conn_state(word), next;
	__u64 fresh;

	if (c->stamp != now)
		c->stamp = now;
	if (p->protocol != IPPROTO_TCP)
		return;
	next = tcp_next(d, state, p->tcp_flags);
	if (next == state)
		return;
	fresh = (word & ~(15ULL << 32)) | (__u64)next << 32;
	if (__sync_val_compare_and_swap(&c->word, word, fresh) != word)
		return;
	card_moves(c, next, now);
	load_move(conn_server(word), state, next);
	half_open_moves(key, fresh, state, next);
	flow_forget(key, c, word);
}

/*
 * port_at is the port that a flow's packets have at the server: its own, or the
 * one that the client asked for.
 */
static INLINE __u16 port_at(const struct server *s, __u32 method, const struct flow_key *key)
{
	return method & METHOD_KEEPS_PORT ? (__u16)(key->ports >> 16) : s->port;
}

/*
 * reply_key is the key of what this server answers to a flow: with NAT, or to this
 * machine itself.
 */
static INLINE void reply_key(struct flow_key *reply, const struct flow_key *key,
			     const struct server *s, __u32 method)
{
	__u64 port = port_at(s, method, key);

	reply->from = s->addr;
	reply->to = key->from;
	if (METHOD_OF(method) != METHOD_NAT) {
		struct addr *source = own_source(s, key, method);

		port = (__u16)(key->ports >> 16);
		reply->from = key->to;
		if (source)
			reply->to = *source;
	}
	reply->ports = port | (key->ports & 0xffff) << 16 | key->ports >> 32 << 32;
}

/* forget_reply deletes the other direction of a connection that has an entry for it. */
static INLINE void forget_reply(const struct flow_key *key, __u64 word)
{
	__u32 index = conn_server(word);
	struct server *s = bpf_map_lookup_elem(&servers, &index);
	struct flow_key reply;

	if (!s || !conn_answered(word))
		return;
	reply_key(&reply, key, s, conn_method(word));
	bpf_map_delete_elem(&conns, &reply);
}

/* conn_over counts out a connection whose word the caller has won. */
static INLINE void conn_over(const struct flow_key *key, struct conn *c, __u64 word)
{
	load_add(conn_server(word), conn_state(word), -1);
	half_open_moves(key, 0, conn_state(word), STATE_GONE);
	template_holds(&c->of.template, -1);
	flow_forget(key, c, word);
	forget_reply(key, word);
}

/* conn_draft is a connection that is to be entered. */
static INLINE struct conn *conn_draft(struct work *w, __u64 word, __u32 service, __u32 now)
{
	struct conn *c = &w->draft;

	__builtin_memset(c, 0, sizeof(*c));
	c->word = word;
	c->service = service;
	c->stamp = now;
	return c;
}

/*
 * conn_begins is the state that its first packet leads to, which is a SYN but for
 * a service that takes others.
 */
static INLINE __u32 conn_begins(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP ? tcp_next(INPUT, STATE_NONE, p->tcp_flags) : STATE_UDP;
}

/* conn_counted counts in a new connection with this word. */
static INLINE void conn_counted(struct work *w, __u64 word)
{
	load_add(conn_server(word), conn_state(word), 1);
	half_open_moves(&w->packet.key, word, STATE_NONE, conn_state(word));
	template_holds(&w->template, 1);
}

/*
 * conn_remember enters the packet's flow, of w->service, with this server: anew, or in the
 * place of an entry whose time is over (old, with the word that was read). It
 * returns the word that the flow has now, which is another CPU's choice where
 * that one was faster, GONE where the sweep was, and 0 where there is no room.
 */
static NOINLINE __u64 conn_remember(struct work *w, struct conn *old, __u64 word, __u32 server,
				    __u32 state)
{
	struct packet *p = &w->packet;
	__u32 now = tick(), method = w->method;
	struct room *r;
	/* A new entry's incarnation is any but the one that its place had before. */
	__u64 before = old ? word : (__u64)bpf_get_prandom_u32() << 40;
	__u64 fresh = conn_word(before, method, state, server);
	struct conn *draft;

	if (old) {
		__u64 was;

		/* Stamped first, so that no sweep takes the new connection for the old. */
		old->stamp = now;
		was = __sync_val_compare_and_swap(&old->word, word, fresh);
		if (was != word)
			return was;
		card_passes(old, server, state, now);
		old->service = w->service;
		conn_over(&p->key, old, word);
		old->of.template = w->template;
		conn_counted(w, fresh);
		return fresh;
	}
	draft = conn_draft(w, fresh, w->service, now);
	draft->of.template = w->template;
	draft->card = card_take(&p->key, server, card_due(state, now));
	if (draft->card && !bpf_map_update_elem(&conns, &p->key, draft, BPF_NOEXIST)) {
		conn_counted(w, fresh);
		return fresh;
	}
	card_give(draft->card);
	old = bpf_map_lookup_elem(&conns, &p->key);
	if (old)
		return old->word;
	note(NOTE_TABLE_FULL);
	r = room_of();
	if (r)
		room_lacks(r, now);
	return 0;
}

/*
 * conn_drop deletes a connection whose word was read. Whoever wins the word
 * counts it out.
 */
static NOINLINE bool conn_drop(const struct flow_key *key, struct conn *c, __u64 word)
{
	if (__sync_val_compare_and_swap(&c->word, word, conn_gone(word)) != word)
		return false;
	conn_over(key, c, word);
	card_give(c->card);
	bpf_map_delete_elem(&conns, key);
	return true;
}

/* sweep_holds marks a server that something refers to yet. */
static INLINE void sweep_holds(__u32 index, const struct sweep *s)
{
	struct server *server = bpf_map_lookup_elem(&servers, &index);

	if (server)
		server->swept = s->epoch;
}

/* lets_go says whether a server has left whose connections and templates are to end. */
static INLINE bool lets_go(__u32 index)
{
	struct server *s = bpf_map_lookup_elem(&servers, &index);

	return s && s->flags & SERVER_LETS_GO;
}

/* sweep_lost is for a card that no connection has: the second time it is free. */
static INLINE void sweep_lost(struct card *d, __u32 taken)
{
	__sync_val_compare_and_swap(&d->taken, taken, taken & CARD_LOST ? 0 : taken | CARD_LOST);
}

/*
 * sweep_due looks at a connection that may be over, and deletes it if it is. It is a
 * global function, for the verifier to go through it once. It returns nothing of use.
 */
__noinline int sweep_due(__u32 place, struct sweep *s)
{
	struct card *d = card_at(place);
	__u32 state, taken;
	struct conn *c;
	__u64 word;

	if (!d || !s)
		return 0;
	taken = d->taken;
	if (!taken)
		return 0;
	c = bpf_map_lookup_elem(&conns, &d->key);
	if (!c || c->card != place) {
		sweep_lost(d, taken);
		return 0;
	}
	if (taken & CARD_LOST)
		__sync_val_compare_and_swap(&d->taken, taken, taken & ~CARD_LOST);
	word = c->word;
	state = conn_state(word);
	if (state == STATE_REPLY) {
		own_sweep(&d->key, c);
		return 0;
	}
	if (state == STATE_GONE)
		return 0;
	if ((overdue(&d->key, c, state, s->now) || lets_go(conn_server(word))) &&
	    __sync_val_compare_and_swap(&c->word, word, conn_gone(word)) == word) {
		conn_over(&d->key, c, word);
		bpf_map_delete_elem(&conns, &d->key);
		d->taken = 0;
		s->expired++;
		return 0;
	}
	/* Who changes the state meanwhile sets a time of its own, after this or seen here. */
	__sync_lock_test_and_set(&d->due, card_due(state, c->stamp));
	if (c->word != word)
		d->due = s->now;
	s->live++;
	sweep_holds(conn_server(word), s);
	return 0;
}

/* sweep_card looks at one card; false: there are no more. */
static INLINE bool sweep_card(__u32 at, struct sweep *s)
{
	struct card *d = bpf_map_lookup_elem(&cards, &at);
	__u32 taken;

	if (!d)
		return false;
	taken = d->taken;
	if (!taken)
		return true;
	s->end = at + 1;
	if (s->all || (__s32)(s->now - d->due) >= 0) {
		s->due++;
		sweep_due(at + 1, s);
		return true;
	}
	s->live++;
	sweep_holds((taken & ~CARD_LOST) - 1, s);
	return true;
}

/* A call costs more than a look at a card. */
#define CARDS_A_TURN 16
#define SWEEP_DUE 512 /* about so many due cards are looked at in one call of weir_sweep */

static long sweep_some(__u32 turn, struct sweep *s)
{
	for (__u32 i = 0; i < CARDS_A_TURN; i++)
		if (!sweep_card(s->first + turn * CARDS_A_TURN + i, s))
			return 1;
	return s->due >= SWEEP_DUE;
}

#endif
