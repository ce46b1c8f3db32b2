/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* schedule.h - each service's scheduler. */
#ifndef WEIR_SCHEDULE_H
#define WEIR_SCHEDULE_H

static INLINE __u32 schedule(const struct service *svc, const struct packet *p)
{
	struct pick pick = {
		.service = svc->index,
		.scheduler = svc->scheduler,
		.server = NO_SERVER,
	};

	switch (svc->scheduler) {
	case SCHED_RR:
	case SCHED_WRR:
		if (!draw(0, &pick))
			bpf_loop(MAX_TURNS, draw, &pick, 0);
		break;
	case SCHED_DH:
	case SCHED_SH:
		return hashed(svc, p);
	case SCHED_MH:
		return maglev(svc, p);
	default:
		bpf_loop(MAX_TURNS, scan, &pick, 0);
	}
	return pick.server;
}

#endif
