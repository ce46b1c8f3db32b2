/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* icmp.h - the header of ICMP and ICMPv6 errors, and their types and codes. */
#ifndef WEIR_SLOW_ICMP_H
#define WEIR_SLOW_ICMP_H

#include "base/bpf.h"

/* The header of ICMP and of ICMPv6 errors, in network byte order (RFC 792, RFC 4443). */
struct icmp_head {
	__u8 type, code;
	__u16 check;
	__u32 rest;
};

/* Types and codes of the errors that the director sends. */
#define ICMP4_UNREACHABLE 3
#define ICMP4_HOST 1
#define ICMP4_PORT 3
#define ICMP4_FRAGMENT 4
#define ICMP6_UNREACHABLE 1
#define ICMP6_TOO_BIG 2
#define ICMP6_ADDRESS 3
#define ICMP6_PORT 4

/* Types of other errors, and the bit that ICMPv6 messages that are no errors have. */
#define ICMP4_QUENCH 4
#define ICMP4_TIME_EXCEEDED 11
#define ICMP6_INFORMATIONAL 0x80

/*
 * The type of service of an ICMPv4 error: the bits that stay the packet's, and precedence
 * "internetwork control" (icmp_send, net/ipv4/icmp.c). And the TTL or hop limit of errors.
 */
#define ICMP4_TOS_KEPT 0x1e
#define ICMP4_TOS 0xc0
#define ICMP_TTL 64

/*
 * is_error says whether an ICMP message is one of the errors that the kernel looks into
 * (ip_vs_in_icmp, ip_vs_in_icmp_v6).
 */
static INLINE bool is_error(const struct icmp_head *icmp, bool ip6)
{
	if (ip6)
		return !(icmp->type & ICMP6_INFORMATIONAL);
	return icmp->type == ICMP4_UNREACHABLE || icmp->type == ICMP4_QUENCH ||
	       icmp->type == ICMP4_TIME_EXCEEDED;
}

#endif
