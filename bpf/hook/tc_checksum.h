/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_checksum.h - the transport checksum of an skb. A local sender leaves it
 * half-finished, which the kernel's helpers handle.
 */
#ifndef WEIR_HOOK_TC_CHECKSUM_H
#define WEIR_HOOK_TC_CHECKSUM_H

#include "base/bpf.h"
#include "forward/nat.h"
#include "hook/tc_summed.h"
#include "parse/checksum.h"
#include "parse/packet.h"
#include "verdict/work.h"

/*
 * skb_update_by_helpers is skb_update_l4_csum by the kernel's helpers, for a checksum so many bytes
 * into the frame. They know what the skb is; before Linux 6.16 they leave skb->csum wrong with IPv6.
 * Ports are the old port | the new one << 16. It takes no pointers to what the caller knows, so that
 * the caller may keep that in registers.
 */
static NOINLINE long skb_update_by_helpers(struct __sk_buff *skb, __u32 check_offset, __u32 csum, __u32 ports,
					   bool udp)
{
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	__u16 old_port = ports, new_port = ports >> 16;
	long err = bpf_l4_csum_replace(skb, check_offset, 0, csum, flags | BPF_F_PSEUDO_HDR);

	if (err || old_port == new_port)
		return err;
	return bpf_l4_csum_replace(skb, check_offset, old_port, new_port, flags | 2);
}

/* sent_csum is what the addresses alone have added to the sum: all but what the ports have. */
static INLINE __u16 sent_csum(const struct sent *sent)
{
	return csum_folded(sent->csum_ports + csum_short(sent->new_port, sent->old_port));
}

/* What a hop less to live takes off the sum of an IPv6 packet: the limit is the low byte of its word. */
#define HOP_SUM bpf_htons(1)

/*
 * skb_update_l4_csum corrects the transport checksum by what sent says has changed, as the
 * kernel's NAT does, and skb->csum, the sum from the IP header on. In that, all changes take
 * each other back but for two: the transport checksum's share for an IPv4 address, which the IP
 * header's own checksum takes back already, and the hops of IPv6 that the packet has lost (hops
 * is HOP_SUM or 0). It returns 0, or a negative error.
 */
static INLINE long skb_update_l4_csum(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
				      const struct sent *sent, __u32 hops)
{
	enum summed summed;

	if (!h->check)
		return -1;
	if (summed_by == SUMMED_BY_HELPERS)
		return skb_update_by_helpers(skb, check_offset(h), sent_csum(sent),
					     sent->old_port | (__u32)sent->new_port << 16, p->protocol == IPPROTO_UDP);
	summed = skb_summed(skb);
	if (summed == CHECKSUM_PARTIAL) {
		*h->check = ~csum_apply_once(~*h->check, sent_csum(sent));
		return 0;
	}
	if (summed == CHECKSUM_COMPLETE)
		bpf_csum_update(skb, ~(h->ip4 ? sent_csum(sent) : hops));
	if (p->protocol == IPPROTO_UDP && !*h->check) /* it has no checksum (RFC 768, RFC 6936) */
		return 0;
	update_l4_csum(h, p, sent->csum_ports);
	return 0;
}

/* The byte of the TCP header whose high 4 bits are the header's length, in 32-bit words. */
#define TCP_LENGTH_BYTE 12

/* TCP's option for the maximum segment size (RFC 9293 section 3.2). Senders put it first. */
#define TCP_OPTION_MSS 2

struct tcp_mss {
	__u8 kind, length;
	__be16 bytes;
};

/*
 * skb_clamp lowers the maximum segment size in a SYN, to at most so many bytes: the MTU
 * of lo, where a local client sends, is 64 KB, and the path to its server takes less. It
 * returns 0, or non-zero on an error.
 */
static NOINLINE long skb_clamp(struct __sk_buff *skb, __u32 check_offset, __u32 most)
{
	__u32 tcp = check_offset - offsetof(struct tcphdr, check), at = tcp + sizeof(struct tcphdr);
	__be16 bytes = bpf_htons(most);
	struct tcp_mss o;
	__u8 length;

	if (bpf_skb_load_bytes(skb, tcp + TCP_LENGTH_BYTE, &length, 1) ||
	    length >> 4 <= sizeof(struct tcphdr) / 4 ||
	    bpf_skb_load_bytes(skb, at, &o, sizeof(o)))
		return 0;
	if (o.kind != TCP_OPTION_MSS || o.length != sizeof(o) || bpf_ntohs(o.bytes) <= most)
		return 0;
	return bpf_l4_csum_replace(skb, check_offset, o.bytes, bytes, sizeof(bytes)) ||
	       bpf_skb_store_bytes(skb, at + offsetof(struct tcp_mss, bytes), &bytes, sizeof(bytes), 0);
}

/*
 * skb_local_out_csum is skb_update_l4_csum for packets of and to a local client, and
 * clamps the segment size of a SYN.
 */
static INLINE long skb_local_out_csum(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
				      const struct sent *sent)
{
	__u32 headers = sizeof(struct tcphdr) + (p->ip6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
	__u32 check;

	if (!h->check) /* a fragment without ports */
		return 0;
	check = check_offset(h);
	if (sent->nat && skb_update_l4_csum(skb, h, p, sent, HOP_SUM))
		return -1;
	if (p->protocol != IPPROTO_TCP || !(p->tcp_flags & TCP_SYN) || sent->mtu <= headers)
		return 0;
	return skb_clamp(skb, check, sent->mtu - headers);
}

#endif
