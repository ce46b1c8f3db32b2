/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lease.h - who may forward: mastership is a lease that the VRRP instance renews with
 * each advertisement, and a frame from another director is never forwarded again.
 */
#ifndef WEIR_SERVICE_LEASE_H
#define WEIR_SERVICE_LEASE_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/packet.h"

/* lease_runs says whether the lease with this index has not run out. Lease 0 never does. */
static INLINE bool lease_runs(__u32 index)
{
	struct lease *l;

	if (index == 0)
		return true;
	l = bpf_map_lookup_elem(&leases, &index);
	return l && bpf_ktime_get_boot_ns() < l->until;
}

/*
 * director_bit is the bit of an Ethernet address (mac_word) in director_filter. Go
 * computes the same (DirectorBit).
 */
static INLINE __u32 director_bit(__u64 mac)
{
	return (mac >> DIRECTOR_HIGH_SHIFT ^ mac >> DIRECTOR_LOW_SHIFT) & DIRECTOR_MASK;
}

/*
 * from_director says whether another director sent this frame. A bit filter answers
 * first, for almost all packets.
 */
static INLINE bool from_director(const struct packet *p)
{
	__u64 mac = sender_mac(p->sender), *filter;
	__u32 zero = 0;

	filter = bpf_map_lookup_elem(&director_filter, &zero);
	if (!filter || !(*filter >> director_bit(mac) & 1))
		return false;
	return bpf_map_lookup_elem(&directors, &mac) != NULL;
}

/* vip_lease_lost says whether the address is a VIP whose lease has run out. */
static INLINE bool vip_lease_lost(const struct addr *a)
{
	__u32 *lease = bpf_map_lookup_elem(&vips, a);

	return lease && !lease_runs(*lease);
}

#endif
