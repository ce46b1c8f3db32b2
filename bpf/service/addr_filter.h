/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * addr_filter.h - packets that pass by. Most packets of a machine that also routes are to
 * no service and from no server. A filter tells them by their addresses alone, before the
 * flow cache and the connection table are asked: it is a few KB whatever the number of
 * connections, and so stays in the CPU's first-level cache.
 *
 * The filter may let a packet through to the tables for nothing, where an address shares
 * a bit with a service's; it never stops a packet that has a service or a connection.
 * For that, Go clears an address's bits before the first packet may need them, and sets
 * them when the last connection has gone (internal/dataplane/service/filter.go).
 */
#ifndef WEIR_SERVICE_ADDR_FILTER_H
#define WEIR_SERVICE_ADDR_FILTER_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* addr_filter_of is the filter, or NULL, which never happens. */
static INLINE const struct addr_filter *addr_filter_of(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&addr_filter, &zero);
}

/* addr_bit is the bit of an address in the filter. Go computes the same (AddrBit). */
static INLINE __u32 addr_bit(const struct addr *a)
{
	return (a->hi * ADDR_BIT_FACTOR + a->lo) * ADDR_BIT_FACTOR >> ADDR_BIT_SHIFT;
}

/* not_virtual says whether no service has an address with this bit. */
static INLINE bool not_virtual(const struct addr_filter *f, __u32 bit)
{
	return f->bits[bit / 64].not_virtual >> (bit & 63) & 1;
}

/* not_nat says whether no server behind NAT has an address with this bit. */
static INLINE bool not_nat(const struct addr_filter *f, __u32 bit)
{
	return f->bits[bit / 64].not_nat >> (bit & 63) & 1;
}

/*
 * addrs_pass_by says whether a packet that comes in is, by its addresses, to no service
 * and from no server: neither behind NAT, nor, with a virtual address, to a local client.
 * It does not ask for services by firewall mark.
 */
static INLINE bool addrs_pass_by(const struct addr_filter *f, const struct flow_key *key)
{
	__u32 from;

	if (!not_virtual(f, addr_bit(&key->to)))
		return false;
	from = addr_bit(&key->from);
	return not_nat(f, from) && not_virtual(f, from);
}

/*
 * passes_by says whether a packet that comes in has neither a service nor a connection.
 * True is certain.
 */
static INLINE bool passes_by(const struct flow_key *key)
{
	const struct addr_filter *f = addr_filter_of();

	return f && addrs_pass_by(f, key) && f->no_marks;
}

/*
 * local_out_passes_by says whether a packet that this machine sends is, by its addresses,
 * to no service and from no server behind NAT. It does not ask for services by firewall
 * mark. What has a virtual source passes: a local node that is not behind NAT answers
 * its clients by itself.
 */
static INLINE bool local_out_passes_by(const struct flow_key *key)
{
	const struct addr_filter *f = addr_filter_of();

	return f && not_virtual(f, addr_bit(&key->to)) && not_nat(f, addr_bit(&key->from));
}

#endif
