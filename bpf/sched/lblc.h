/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lblc.h - one server for each destination (net/netfilter/ipvs/ip_vs_lblc.c). */
#ifndef WEIR_SCHED_LBLC_H
#define WEIR_SCHED_LBLC_H

#include "abi.h"
#include "base/bpf.h"
#include "base/clock.h"
#include "base/maps.h"
#include "sched/locality.h"
#include "sched/scan.h"
#include "service/load.h"
#include "service/server.h"

/*
 * schedule_lblc is the server of lblc, or NO_SERVER. A destination keeps its server
 * until that one leaves, has the weight 0 or is overloaded; thresholds count for new
 * destinations only.
 */
static NOINLINE __u32 schedule_lblc(const struct service *svc, const struct flow_key *key)
{
	struct cache_key at = { .to = key->to, .service = svc->index };
	struct cache_line *line = bpf_map_lookup_elem(&cache, &at);
	__u32 server, now = tick();
	struct load *l;

	if (line) {
		line->used = now;
		server = line->server;
		l = load_of(server);
		if (l && l->weight && server_present(server) && !overloaded(svc->index, server))
			return server;
	}
	server = schedule_scan(svc->index, SCHED_WLC);
	if (server == NO_SERVER)
		return NO_SERVER;
	if (line)
		line->server = server;
	else
		cache_add(&at, server, now);
	return server;
}

#endif
