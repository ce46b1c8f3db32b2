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
	struct pick pick = { .server = NO_SERVER };

	if (!svc || !key)
		return NO_SERVER;
	pick.service = svc->index;
	pick.scheduler = svc->scheduler;
	switch (svc->scheduler) {
	case SCHED_RR:
	case SCHED_WRR:
		if (!draw(0, &pick))
			bpf_loop(MAX_TURNS, draw, &pick, 0);
		break;
	case SCHED_DH:
	case SCHED_SH:
		return hashed(svc, key);
	case SCHED_MH:
		return maglev(svc, key);
	case SCHED_TWOS:
		return two_choices(svc);
	default:
		bpf_loop(MAX_TURNS, scan, &pick, 0);
	}
	return pick.server;
}

static INLINE __u32 schedule(const struct service *svc, const struct packet *p)
{
	return choose(svc, &p->key);
}

#endif
