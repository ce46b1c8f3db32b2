/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tcp_state.h - the TCP states of IPVS (net/netfilter/ipvs/ip_vs_proto_tcp.c). */
#ifndef WEIR_CONN_TCP_STATE_H
#define WEIR_CONN_TCP_STATE_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/packet.h"

/*
 * The table of TCP states (tcp_states in ip_vs_proto_tcp.c): one row for each event, and
 * in it 4 bits for each state, the next state. INPUT is for a client's packets and
 * OUTPUT for a server's, where both are seen (NAT); ONLY is for a client's packets where
 * the server's are not seen.
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

/*
 * Whose packets are seen (IP_VS_DIR_INPUT, IP_VS_DIR_OUTPUT, IP_VS_DIR_INPUT_ONLY in
 * include/net/ip_vs.h).
 */
enum direction {
	INPUT,
	OUTPUT,
	ONLY,
};

/* The row of a direction and an event. */
#define ROW_OF(d_, event_)                                                                         \
	((d_) == INPUT ? INPUT_##event_ : (d_) == OUTPUT ? OUTPUT_##event_ : ONLY_##event_)

/*
 * tcp_next is the state that follows when a packet with these flags comes. Of several
 * flags the first of RST, SYN, FIN, ACK counts (tcp_state_idx).
 */
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

/*
 * conn_closed says whether a connection in this state has ended, so that a new client's
 * SYN may take over its entry.
 */
static INLINE bool conn_closed(__u32 state)
{
	return state == STATE_TIME_WAIT || state == STATE_CLOSE;
}

/*
 * conn_first_state is the state of a new connection: the one that its first packet leads
 * to. That is a SYN, unless the service is sloppy.
 */
static INLINE __u32 conn_first_state(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP ? tcp_next(INPUT, STATE_NONE, p->tcp_flags) : STATE_UDP;
}

#endif
