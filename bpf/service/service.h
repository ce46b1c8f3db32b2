/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* service.h - the virtual service of a new flow, and whether this director may serve it. */
#ifndef WEIR_SERVICE_SERVICE_H
#define WEIR_SERVICE_SERVICE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "service/check.h"
#include "service/firewall_mark.h"
#include "service/lease.h"
#include "service/service_slots.h"

/*
 * no_service_left says whether the packet's family has no service at all. The kernel then
 * unregisters its hooks of that family, and the local stack answers
 * (ip_vs_unregister_hooks, net/netfilter/ipvs/ip_vs_core.c).
 */
static INLINE bool no_service_left(const struct packet *p)
{
	return !(service_counts.families & (p->ip6 ? SERVICE_IP6 : SERVICE_IP4));
}

/*
 * service_by_mark is the service of the packet's firewall mark, or NULL. It is looked up
 * before the services by address (ip_vs_service_find, net/netfilter/ipvs/ip_vs_ctl.c).
 */
static INLINE struct service *service_by_mark(const struct packet *p)
{
	struct service_key key = { .mark = mark_of(&p->key) };

	if (!key.mark)
		return NULL;
	if (!p->ip6)
		key.vip.lo = MAPPED(0);
	return service_at(&key);
}

/*
 * service_of is the service of a new flow's packet, or NULL: of a check, by firewall mark, by
 * address and port, or by address alone (ip_vs_service_find,
 * net/netfilter/ipvs/ip_vs_ctl.c).
 */
static NOINLINE struct service *service_of(const struct packet *p)
{
	struct service_key key = {
		.vip = p->key.to,
		.port = ports_destination(p->key.ports),
		.protocol = p->protocol,
	};
	struct service *svc = NULL;

	key.mark = check_of(p);
	if (key.mark)
		return service_at(&key);
	if (service_counts.by_mark)
		svc = service_by_mark(p);
	if (!svc)
		svc = service_at(&key);
	if (!svc && service_counts.any_port) {
		key.port = 0;
		svc = service_at(&key);
	}
	return svc;
}

/*
 * may_serve says whether this director is master for the packet's service. A service by
 * mark has no address: the lease of the packet's destination decides, and an address
 * without a lease is always served.
 */
static INLINE bool may_serve(const struct service *svc, const struct packet *p)
{
	__u32 *lease;

	if (!(svc->flags & SERVICE_BY_MARK))
		return lease_runs(svc->lease);
	lease = bpf_map_lookup_elem(&vips, &p->key.to);
	return !lease || lease_runs(*lease);
}

/*
 * may_begin says whether the packet may begin a connection: any UDP datagram, a SYN, and
 * with sloppy TCP any packet but a reset (sysctl_sloppy_tcp,
 * net/netfilter/ipvs/ip_vs_proto_tcp.c).
 */
static INLINE bool may_begin(const struct packet *p, const struct service *svc)
{
	if (p->protocol != IPPROTO_TCP)
		return true;
	return !(p->tcp_flags & TCP_RST) && (p->tcp_flags & TCP_SYN || svc->flags & SERVICE_SLOPPY);
}

#endif
