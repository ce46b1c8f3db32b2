/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* address.h - IPv4 and IPv6 addresses as 16 bytes, and Ethernet addresses as a word. */
#ifndef WEIR_PARSE_ADDRESS_H
#define WEIR_PARSE_ADDRESS_H

#include "abi.h"
#include "base/bpf.h"

/*
 * MAPPED is the second word of ::ffff:a.b.c.d; the first word is 0. The argument is an
 * IPv4 address in network byte order, and so is the result.
 */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MAPPED(ip4_) (0xffff0000ULL | (__u64)(ip4_) << 32)
#else
#define MAPPED(ip4_) (0xffffULL << 32 | (__u64)(ip4_))
#endif

/*
 * UNMAPPED is the IPv4 address, in network byte order, in the second word of a mapped
 * one.
 */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define UNMAPPED(lo_) ((__u32)((lo_) >> 32))
#else
#define UNMAPPED(lo_) ((__u32)(lo_))
#endif

/* is_ip4 says whether the address is an IPv4 address, in its mapped form. */
static INLINE bool is_ip4(const struct addr *a)
{
	return !a->hi && a->lo == MAPPED(UNMAPPED(a->lo));
}

/* is_loopback says whether the address is in 127.0.0.0/8, or is ::1. */
static INLINE bool is_loopback(const struct addr *a)
{
	const __u8 *bytes = (const __u8 *)a;

	return is_ip4(a) ? bytes[12] == 127 : !a->hi && a->lo == bpf_cpu_to_be64(1);
}

/*
 * same_addr says whether two addresses are equal. It compares the second words first,
 * which differ more often.
 */
static INLINE bool same_addr(const struct addr *a, const struct addr *b)
{
	return a->lo == b->lo && a->hi == b->hi;
}

/*
 * mac_word is an Ethernet address as the low 6 bytes of a word, its first byte lowest. It may
 * stand at any place of a frame or of a table, but not on the stack, where the kernel takes only
 * aligned words.
 */
static INLINE __u64 mac_word(const __u8 *mac)
{
	return *(__u32 *)mac | (__u64)*(__u16 *)(mac + 4) << 32;
}

/*
 * copy_mac copies an Ethernet address, as two words: not knowing how it is aligned, the
 * compiler would copy it byte by byte.
 */
static INLINE void copy_mac(__u8 *to, const __u8 *from)
{
	*(__u32 *)to = *(__u32 *)from;
	*(__u16 *)(to + 4) = *(__u16 *)(from + 4);
}

/*
 * sender_word is who sent a frame: its source address (mac_word) | the index of the device
 * that it came in by << 48.
 */
static INLINE __u64 sender_word(const __u8 *mac, __u32 ifindex)
{
	return mac_word(mac) | (__u64)ifindex << 48;
}

/* sender_mac is the Ethernet address (mac_word) in a sender_word. */
static INLINE __u64 sender_mac(__u64 sender)
{
	return sender & 0xffffffffffffULL;
}

#endif
