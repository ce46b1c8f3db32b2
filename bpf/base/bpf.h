/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* bpf.h - the kernel's headers, libbpf's helpers, and the attributes of functions. */
#ifndef WEIR_BASE_BPF_H
#define WEIR_BASE_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE __always_inline
#define NOINLINE __attribute__((noinline))

/* Flags and mask of iphdr.frag_off (RFC 791), in host byte order. */
#define IP_DF 0x4000
#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

/* The bytes that every host must take (RFC 791), and every link must carry (RFC 8200). */
#define IP4_MIN_MTU 576
#define IP6_MIN_MTU 1280

#endif
