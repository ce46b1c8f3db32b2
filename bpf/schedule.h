/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* schedule.h - each service's scheduler. */
#ifndef WEIR_SCHEDULE_H
#define WEIR_SCHEDULE_H

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
