/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mtu.h - packets that are too big for the path to their server. */
#ifndef WEIR_FORWARD_MTU_H
#define WEIR_FORWARD_MTU_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/tunnel.h"
#include "parse/packet.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * mtu_told is what the client is told of the way's MTU: this machine's own somewhat less,
 * since IPv6 takes in no MTU of the way to an address of its own that is not below that of
 * the address's device (rt6_insert_exception, net/ipv6/route.c).
 */
static INLINE __u32 mtu_told(const struct headers *h, const struct packet *p, __u32 mtu)
{
	return p->local_out && h->ip6 && mtu >= 1280 + 8 ? mtu - 8 : mtu;
}

/*
 * too_big is for a packet that does not fit on the way to its server. One that may be
 * cut is not: here nobody cuts, but this machine itself, which is told.
 */
static INLINE enum verdict too_big(const struct headers *h, const struct packet *p, struct sent *sent,
				   const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	note(DROP_TOO_BIG);
	sent->mtu = mtu_told(h, p, s->mtu - outer_bytes(s, method));
	return h->ip4 && !p->local_out && !(h->ip4->frag_off & bpf_htons(IP_DF)) ? DROP : TOO_BIG;
}

/* server_mtu is how long what goes to a server may be before it gets an outer header; 0: any. */
static INLINE __u32 server_mtu(const struct server *s, __u32 method)
{
	return s->flags & SERVER_LOCAL ? 0 : s->mtu - outer_bytes(s, method);
}

#endif
