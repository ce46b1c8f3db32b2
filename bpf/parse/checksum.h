/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * checksum.h - the Internet checksum (RFC 1071) and its change when a field changes (RFC
 * 1624). Sums are of 16-bit words in network byte order; they are folded as late as
 * possible.
 */
#ifndef WEIR_PARSE_CHECKSUM_H
#define WEIR_PARSE_CHECKSUM_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"

/* csum_word is what changing a 64-bit word adds to a sum. */
static INLINE __u64 csum_word(__u64 old, __u64 new)
{
	return (__u64)(__u32)~old + (__u32)~(old >> 32) + (__u32)new + (__u32)(new >> 32);
}

/*
 * csum_addr is what changing an address adds to a sum, folded once: it is below 2^20. Of two
 * IPv4 addresses only the last words differ.
 */
static INLINE __u32 csum_addr(const struct addr *old, const struct addr *new, bool ip4)
{
	__u64 sum;

	if (ip4)
		sum = (__u64)~UNMAPPED(old->lo) + UNMAPPED(new->lo);
	else
		sum = csum_word(old->hi, new->hi) + csum_word(old->lo, new->lo);
	return (sum & 0xffff) + (sum >> 16);
}

/* csum_folded is a sum below 2^32 in 16 bits. */
static INLINE __u16 csum_folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

/* csum_moved is csum_addr in 16 bits. */
static INLINE __u16 csum_moved(const struct addr *old, const struct addr *new, bool ip4)
{
	return csum_folded(csum_addr(old, new, ip4));
}

/* csum_short is what changing a 16-bit word adds to a sum. */
static INLINE __u32 csum_short(__u16 old, __u16 new)
{
	return (__u16)~old + new;
}

/*
 * csum_apply is a checksum after the change that adds so much to its sum: a few addresses, ports
 * and checksums, which are far below 2^32. Of 32 bits two folds leave 16.
 */
static INLINE __u16 csum_apply(__u16 check, __u32 sum)
{
	return ~csum_folded((__u16)~check + sum);
}

/* csum_apply_once is csum_apply for a sum of 16 bits, of which one fold leaves 16. */
static INLINE __u16 csum_apply_once(__u16 check, __u16 sum)
{
	__u32 all = 0xffff - check + sum;

	return ~(all + (all >> 16));
}

/* csum_fold is the checksum of a sum. */
static INLINE __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

#endif
