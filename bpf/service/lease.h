/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lease.h - who may forward: mastership is a lease that the VRRP instance renews with
 * each advertisement.
 */
#ifndef WEIR_SERVICE_LEASE_H
#define WEIR_SERVICE_LEASE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* lease_runs says whether the lease with this index has not run out. Lease 0 never does. */
static INLINE bool lease_runs(__u32 index)
{
	struct lease *l;

	if (index == 0)
		return true;
	l = bpf_map_lookup_elem(&leases, &index);
	return l && bpf_ktime_get_boot_ns() < l->until;
}

/* vip_lease_lost says whether the address is a VIP whose lease has run out. */
static INLINE bool vip_lease_lost(const struct addr *a)
{
	__u32 *lease = bpf_map_lookup_elem(&vips, a);

	return lease && !lease_runs(*lease);
}

#endif
