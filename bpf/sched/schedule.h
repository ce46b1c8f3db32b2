/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* schedule.h - the server that a service's scheduler gives a new connection. */
#ifndef WEIR_SCHED_SCHEDULE_H
#define WEIR_SCHED_SCHEDULE_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/packet.h"
#include "sched/cycle.h"
#include "sched/hash.h"
#include "sched/lblc.h"
#include "sched/lblcr.h"
#include "sched/mh.h"
#include "sched/scan.h"
#include "sched/twos.h"
#include "service/server.h"

/*
 * pick_server is the server's index, or NO_SERVER. It is a global function, so that the
 * verifier goes through all schedulers once, and not for each path that leads here.
 */
__noinline __u32 pick_server(const struct service *svc, const struct flow_key *key)
{
	if (!svc || !key)
		return NO_SERVER;
	switch (svc->scheduler) {
	case SCHED_RR:
	case SCHED_WRR:
		return schedule_cycle(svc);
	case SCHED_DH:
	case SCHED_SH:
		return schedule_hash(svc, key);
	case SCHED_MH:
		return schedule_mh(svc, key);
	case SCHED_TWOS:
		return schedule_twos(svc->index);
	case SCHED_LBLC:
		return schedule_lblc(svc, key);
	case SCHED_LBLCR:
		return schedule_lblcr(svc, key);
	default:
		return schedule_scan(svc->index, svc->scheduler);
	}
}

/* schedule is pick_server for a packet of the flow. */
static INLINE __u32 schedule(const struct service *svc, const struct packet *p)
{
	return pick_server(svc, &p->key);
}

#endif
