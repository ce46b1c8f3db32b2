/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * addr_filter.h - packets that pass by. Most packets of a machine that also routes are to
 * no service and from no server. A filter tells them by their addresses alone, before the
 * flow cache and the connection table are asked: it is 16 KB whatever the number of
 * connections, and so stays in the CPU's first-level cache.
 *
 * The filter may let a packet through to the tables for nothing, where an address shares
 * a byte with a service's; it never stops a packet that has a service or a connection.
 * For that, Go clears an address's flags before the first packet may need that, and sets
 * them when the last connection has gone (internal/dataplane/service/filter.go).
 */
#ifndef WEIR_SERVICE_ADDR_FILTER_H
#define WEIR_SERVICE_ADDR_FILTER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* addr_not is what the address is not (ADDR_NOT_NAT and others). Go finds it by AddrSlot. */
static INLINE __u8 addr_not(const struct addr *a)
{
	return addr_filter.flags[(a->hi + a->lo) * GOLDEN_64 >> ADDR_SLOT_SHIFT];
}

/*
 * addrs_pass_by says whether a packet that comes in is, by its addresses, to no service
 * and from no server: neither behind NAT, nor, with a virtual address, to a local client.
 * It does not ask for services by firewall mark.
 */
static INLINE bool addrs_pass_by(const struct flow_key *key)
{
	return addr_not(&key->to) & ADDR_NOT_VIRTUAL &&
	       (addr_not(&key->from) | ADDR_NO_MARKS) == ADDR_PASSES;
}

/*
 * passes_by says whether a packet that comes in has neither a service nor a connection.
 * True is certain.
 */
static INLINE bool passes_by(const struct flow_key *key)
{
	return addr_not(&key->to) & ADDR_NOT_VIRTUAL && addr_not(&key->from) == ADDR_PASSES;
}

/*
 * local_out_passes_by says whether a packet that this machine sends is, by its addresses,
 * to no service and from no server behind NAT. It does not ask for services by firewall
 * mark. What has a virtual source passes: a local node that is not behind NAT answers
 * its clients by itself.
 */
static INLINE bool local_out_passes_by(const struct flow_key *key)
{
	return addr_not(&key->to) & ADDR_NOT_VIRTUAL && addr_not(&key->from) & ADDR_NOT_NAT;
}

#endif
