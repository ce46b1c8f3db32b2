/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* deliver.h - the verdict on a packet whose server is known. */
#ifndef WEIR_BALANCE_DELIVER_H
#define WEIR_BALANCE_DELIVER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "service/director.h"
#include "service/server.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/* count_delivered counts a packet that is not forwarded, and the connection that it may begin. */
static INLINE void count_delivered(const struct packet *p, const struct server *s, __u32 index, __u32 conns)
{
	count(&service_stats, s->service, conns, p->packets, p->bytes);
	count(&server_stats, index, conns, p->packets, p->bytes);
}

/*
 * deliver is the verdict on a packet whose server is known: PASS, where it is left to
 * the local stack, and counted here; FORWARD; PASS_FROM_DIRECTOR where another director
 * forwarded it here already, or may have; or REFUSE, where the server has no next hop
 * (dst_link_failure in __ip_vs_get_out_rt, net/netfilter/ipvs/ip_vs_xmit.c; arp_error_report):
 * that counts as a packet, too. Where its next hop is not known yet, the packet is dropped
 * later on: the client sends again.
 */
static INLINE enum verdict deliver(struct work *w, const struct server *s, __u32 index, __u32 conns)
{
	const struct packet *p = &w->packet;

	if (METHOD_OF(w->method) == METHOD_NAT) {
		w->csum = csum_moved(&p->key.to, &s->addr, !p->ip6);
		w->csum_ports = csum_folded(w->csum + csum_short(ports_destination(p->key.ports), port_at(s, w->method, &p->key)));
	}
	if (delivered_locally(s, w->method)) {
		count_delivered(p, s, index, conns);
		return PASS;
	}
	if (may_loop(w->origin, p, s, w->method, w->last_hop))
		return pass(PASS_FROM_DIRECTOR);
	if (s->flags & SERVER_UNREACHABLE) {
		count_delivered(p, s, index, conns);
		note(DROP_NO_NEXT_HOP);
		w->no_host = true;
		return REFUSE;
	}
	w->end_there = ends_there(w->origin, s, w->method);
	w->to_client = false;
	w->server = index;
	w->new_conns = conns;
	return FORWARD;
}

#endif
