/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* deliver.h - the verdict on a packet whose server is known. */
#ifndef WEIR_BALANCE_DELIVER_H
#define WEIR_BALANCE_DELIVER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/packet.h"
#include "service/director.h"
#include "service/server.h"
#include "verdict/counters.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * deliver is the verdict on a packet whose server is known: PASS, where it is left to
 * the local stack, which counts it; FORWARD; or PASS_FROM_DIRECTOR where another
 * director forwarded it here already, or may have.
 */
static INLINE enum verdict deliver(struct work *w, const struct server *s, __u32 index, __u32 conns)
{
	const struct packet *p = &w->packet;

	if (delivered_locally(s, w->method)) {
		count(&service_stats, s->service, conns, p->packets, p->bytes);
		count(&server_stats, index, conns, p->packets, p->bytes);
		return PASS;
	}
	if (may_loop(p, s, w->method, w->last_hop))
		return pass(PASS_FROM_DIRECTOR);
	w->end_there = ends_there(p, s, w->method);
	w->to_client = false;
	w->server = index;
	w->new_conns = conns;
	return FORWARD;
}

#endif
