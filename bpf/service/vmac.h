/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * vmac.h - Ethernet addresses of virtual routers (use_vmac): all directors of an instance
 * have one on a macvlan device, whose frames come in by the interface below. Only the
 * master's frames are for it; a standby drops what a switch floods (RFC 9568 section 6.4.2).
 *
 * A frame that is taken gets the interface's own address as its destination, so that
 * everything behind this looks at a frame to the interface, and answers by its address: no
 * frame that weir sends has the virtual router's, by which a switch would look for the master
 * where it is no more.
 */
#ifndef WEIR_SERVICE_VMAC_H
#define WEIR_SERVICE_VMAC_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "service/lease.h"

/*
 * The virtual routers' addresses by device (sender_word): the device's own address
 * (mac_word) | the index of the instance's lease << 48.
 */
MAP(vmacs, BPF_MAP_TYPE_HASH, __u64, __u64, MAX_VMACS);

/* Whose address a frame has as its destination. */
enum vmac {
	VMAC_NONE,    /* no virtual router's */
	VMAC_STANDBY, /* that of one which this machine is not master of */
	VMAC_MASTER,
};

/* vmac_lease is the index of the lease of a vmacs entry. */
static INLINE __u32 vmac_lease(__u64 entry)
{
	return entry >> 48;
}

/* is_link_local says whether a frame is an IPv6 packet to a link-local address, or is cut. */
static INLINE bool is_link_local(const struct ethhdr *eth, const void *end)
{
	const struct ipv6hdr *ip = (const void *)(eth + 1);

	if (eth->h_proto != bpf_htons(ETH_P_IPV6))
		return false;
	return (const void *)(ip + 1) > end || (ip->daddr.s6_addr[0] == 0xfe && (ip->daddr.s6_addr[1] & 0xc0) == 0x80);
}

/*
 * vmac_of says whose address a frame is to that came in by a device and ends there. On
 * VMAC_MASTER *own is the device's own address (mac_word). The stack takes a packet to a
 * link-local address only by the device that has it: it stays as it is.
 */
static INLINE enum vmac vmac_of(const struct ethhdr *eth, const void *end, __u32 ifindex, __u64 *own)
{
	__u64 key = sender_word(eth->h_dest, ifindex), *entry = bpf_map_lookup_elem(&vmacs, &key);
	struct lease *l;
	__u32 index;

	if (!entry || is_link_local(eth, end))
		return VMAC_NONE;
	index = vmac_lease(*entry);
	l = bpf_map_lookup_elem(&leases, &index);
	*own = sender_mac(*entry);
	/* One that has run out was not given up: established connections go on. */
	return l && l->until ? VMAC_MASTER : VMAC_STANDBY;
}

/* set_mac writes an Ethernet address (mac_word), at any even place in memory. */
static INLINE void set_mac(__u8 *mac, __u64 word)
{
	*(__u16 *)mac = word;
	*(__u16 *)(mac + 2) = word >> 16;
	*(__u16 *)(mac + 4) = word >> 32;
}

/*
 * vmac_speaks says whether a frame that leaves by a device is from a virtual router's
 * address; silent whether this machine is not master of it, and must be silent there.
 */
static INLINE bool vmac_speaks(const __u8 *mac, __u32 ifindex, bool *silent)
{
	__u64 key = sender_word(mac, ifindex), *entry = bpf_map_lookup_elem(&vmacs, &key);

	*silent = entry && !lease_runs(vmac_lease(*entry));
	return entry;
}

#endif
