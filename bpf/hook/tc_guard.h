/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_guard.h - no ARP and no neighbour advertisement for a VIP leaves a machine whose
 * lease for it has run out, and nothing but VRRP from the Ethernet address of a virtual router
 * by which a switch would look for the master here.
 */
#ifndef WEIR_HOOK_TC_GUARD_H
#define WEIR_HOOK_TC_GUARD_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/cursor.h"
#include "service/lease.h"
#include "service/vmac.h"

/* An ARP packet for IPv4 over Ethernet (RFC 826), in network byte order. */
struct arp_ip4 {
	__be16 hardware, protocol;
	__u8 hardware_len, protocol_len;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

/*
 * arp_silenced says whether the ARP packet at the cursor is from a VIP whose lease has
 * run out.
 */
static INLINE bool arp_silenced(struct cursor *c)
{
	struct arp_ip4 *arp = take(c, sizeof(*arp));
	struct addr a = {};

	if (!arp || arp->protocol != bpf_htons(ETH_P_IP))
		return false;
	a.lo = MAPPED(*(__u16 *)arp->sender | (__u32)*(__u16 *)(arp->sender + 2) << 16);
	return vip_lease_lost(&a);
}

/* The ICMPv6 type (RFC 4861 section 4.4). */
#define NEIGHBOUR_ADVERTISEMENT 136

/*
 * neighbour_silenced says whether the IPv6 packet at the cursor is a neighbour
 * advertisement for a VIP whose lease has run out.
 */
static INLINE bool neighbour_silenced(struct cursor *c)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	struct icmp6hdr *icmp = take(c, sizeof(*icmp));
	struct addr *target = take(c, sizeof(*target));
	struct addr a;

	if (!ip || !icmp || !target || ip->nexthdr != IPPROTO_ICMPV6 ||
	    icmp->icmp6_type != NEIGHBOUR_ADVERTISEMENT)
		return false;
	a = *target;
	return vip_lease_lost(&a);
}

/*
 * vmac_silenced says whether a frame of the stack's is from a virtual router that this
 * machine is not master of: reports of groups, and questions for neighbours.
 */
static INLINE bool vmac_silenced(const struct ethhdr *eth, __u32 ifindex)
{
	bool silent;

	return vmac_speaks(eth->h_source, ifindex, &silent) && silent;
}

/*
 * vmac_guards says whether an IGMP or ICMPv6 packet is from a virtual router's address and
 * must not leave: this machine is not master of it; or it is a neighbour advertisement for
 * the address that adverts come from, which the interface below has and answers for, too.
 */
static INLINE bool vmac_guards(struct ethhdr *eth, void *end, __u32 ifindex)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	struct icmp6hdr *icmp = (void *)(ip + 1);
	struct addr *target = (void *)(icmp + 1), a;
	bool silent;

	if (!vmac_speaks(eth->h_source, ifindex, &silent))
		return false;
	if (silent || eth->h_proto != bpf_htons(ETH_P_IPV6))
		return silent;
	if ((void *)(target + 1) > end || ip->nexthdr != IPPROTO_ICMPV6 ||
	    icmp->icmp6_type != NEIGHBOUR_ADVERTISEMENT)
		return false;
	a = *target;
	return !bpf_map_lookup_elem(&vips, &a);
}

#endif
