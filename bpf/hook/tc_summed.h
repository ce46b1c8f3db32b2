/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_summed.h - who has summed an skb's transport checksum, or is to: skb->ip_summed. The
 * kernel's helpers ask it again with each call, and cost more than all else that NAT does.
 *
 * Programs have no name for it. Go finds its place by the kernel's types
 * (internal/dataplane/summed.go) and says how it is to be read: as a member of the kernel's
 * skb, which programs may name from Linux 6.2 on, or as memory, which Linux allows unless it
 * is locked down (confidentiality). Where it allows neither, the helpers are asked.
 */
#ifndef WEIR_HOOK_TC_SUMMED_H
#define WEIR_HOOK_TC_SUMMED_H

#include "base/bpf.h"

/* The values of ip_summed (include/linux/skbuff.h). */
enum summed {
	CHECKSUM_NONE,        /* the checksum in the packet is complete */
	CHECKSUM_UNNECESSARY, /* the same, and a device has found it right */
	CHECKSUM_COMPLETE,    /* the same, and skb->csum is the sum of the packet */
	CHECKSUM_PARTIAL,     /* the packet has the pseudo header's sum, and a device adds the rest */
};
#define SUMMED_MASK 3

/* How ip_summed is read: numbers of Go's. */
#define SUMMED_BY_HELPERS 0
#define SUMMED_BY_MEMORY 1
#define SUMMED_BY_MEMBER 2
const volatile __u32 summed_by;

/* Where ip_summed stands: the byte of the kernel's skb, and in it the lowest bit. */
const volatile __u32 summed_at, summed_shift;

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/* skb_summed is the packet's ip_summed (enum summed). It is not for SUMMED_BY_HELPERS. */
static INLINE enum summed skb_summed(struct __sk_buff *skb)
{
	__u8 flags = 0;

	if (summed_by == SUMMED_BY_MEMBER)
		flags = *(__u8 *)(bpf_cast_to_kern_ctx(skb) + summed_at);
	else
		bpf_probe_read_kernel(&flags, sizeof(flags), (void *)skb + summed_at);
	return flags >> summed_shift & SUMMED_MASK;
}

#endif
