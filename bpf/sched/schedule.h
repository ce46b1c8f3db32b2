/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* schedule.h - the server that the service's scheduler gives a new connection. */
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
 * choose is a global function, so that the verifier goes through all schedulers
 * once, and not again for each way that leads here. It returns a server's index.
 */
__noinline __u32 choose(const struct service *svc, const struct flow_key *key)
{
	if (!svc || !key)
		return NO_SERVER;
	switch (svc->scheduler) {
	case SCHED_RR:
	case SCHED_WRR:
		return drawn(svc);
	case SCHED_DH:
	case SCHED_SH:
		return hashed(svc, key);
	case SCHED_MH:
		return maglev(svc, key);
	case SCHED_TWOS:
		return two_choices(svc->index);
	case SCHED_LBLC:
		return locality(svc, key);
	case SCHED_LBLCR:
		return replicated(svc, key);
	default:
		return scanned(svc->index, svc->scheduler);
	}
}

static INLINE __u32 schedule(const struct service *svc, const struct packet *p)
{
	return choose(svc, &p->key);
}

#endif
