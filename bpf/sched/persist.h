/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* persist.h - the server that a persistent service gives a new connection. */
#ifndef WEIR_SCHED_PERSIST_H
#define WEIR_SCHED_PERSIST_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "conn/template.h"
#include "sched/schedule.h"
#include "service/server.h"
#include "verdict/work.h"

/*
 * schedule_persistent is the server of the client's template, or of the service's
 * scheduler, which then makes or changes the template; or NO_SERVER. It leaves
 * w->template at the connection's template.
 */
static INLINE __u32 schedule_persistent(struct work *w, const struct service *svc)
{
	__u32 now = tick(), server;
	struct template_search found = template_find(w, svc, now);

	if (found.good) {
		found.at->stamp = now;
		return found.at->server;
	}
	server = schedule(svc, &w->packet);
	return server == NO_SERVER ? server : template_assign(found.at, server, svc->persist, now);
}

#endif
