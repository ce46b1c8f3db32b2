/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_finish.h - tc carries a verdict out. An skb has a VLAN tag beside its bytes, may be
 * several segments in one, and can be copied.
 */
#ifndef WEIR_HOOK_TC_FINISH_H
#define WEIR_HOOK_TC_FINISH_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "forward/tunnel.h"
#include "hook/tc_checksum.h"
#include "parse/packet.h"
#include "slow/icmp_error.h"
#include "slow/icmp_write.h"
#include "verdict/verdict.h"
#include "verdict/work.h"

/*
 * skb_untag takes off the VLAN tags of a packet that leaves by another device: tags
 * belong to the device that a packet came by. False: it could not.
 */
static INLINE bool skb_untag(struct __sk_buff *skb)
{
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return false;
	return !skb->vlan_present || !bpf_skb_vlan_pop(skb);
}

/*
 * The sign in tc_index of a local client's packet that has been balanced, and is not to
 * be again.
 */
#define TC_INDEX_BALANCED 0x7765

/* skb_leave_by sends a local client's packet out of a device. */
static INLINE int skb_leave_by(struct __sk_buff *skb, __u32 ifindex)
{
	if (ifindex == skb->ifindex)
		return TC_ACT_UNSPEC;
	skb->tc_index = TC_INDEX_BALANCED;
	return bpf_redirect(ifindex, 0);
}

/*
 * skb_to_local_node sends a local client's packet to the local node: at lo it goes on,
 * and at another device it is redirected to ingress. (Not by a route look-up of its own,
 * as in skb_to_local_client: at this point, older kernels lose the packet's route.)
 */
static INLINE int skb_to_local_node(struct __sk_buff *skb)
{
	if (skb->ifindex != LO_IFINDEX)
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	skb->tc_index = TC_INDEX_BALANCED;
	return bpf_redirect(LO_IFINDEX, 0);
}

/*
 * skb_to_local_client sends an answer to a local client, over lo, by a route that is
 * looked up at egress: at ingress, IPv4 takes no packet whose source is this machine's
 * own.
 */
static INLINE int skb_to_local_client(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
				      const struct sent *sent)
{
	if (skb_local_out_csum(skb, h, p, sent))
		return TC_ACT_SHOT;
	if (p->local_out)
		return skb_leave_by(skb, LO_IFINDEX);
	if (skb->vlan_present && !skb_untag(skb))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(LO_IFINDEX, NULL, 0, 0);
}

/*
 * skb_reinject sends a copy of the packet to this device's ingress once more, and drops
 * the packet.
 */
static INLINE int skb_reinject(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	return TC_ACT_SHOT;
}

/* takes_at_far_end says whether the far end of a device is to get packets at once. */
static INLINE bool takes_at_far_end(__u32 ifindex)
{
	__u32 word = ifindex / 64;

	asm volatile("" : "+r"(word)); /* so that the verifier sees that the bound is that of the index */
	return word < FAR_END_WORDS && far_ends.bits[word] >> ifindex % 64 & 1;
}

/*
 * skb_send sends a packet out of a device, or, where that is a veth device whose far end is in
 * another network namespace, lets it come in there, without the queue of that processor between
 * them. There it begins without this machine's mark, as it does otherwise.
 */
static INLINE int skb_send(struct __sk_buff *skb, __u32 ifindex)
{
	if (!takes_at_far_end(ifindex))
		return bpf_redirect(ifindex, 0);
	skb->mark = 0;
	skb->priority = 0;
	return bpf_redirect_peer(ifindex, 0);
}

/*
 * skb_encapsulate puts the outer header of so many bytes in front, and tells the kernel
 * about it, so that the kernel splits the inner packet where the skb is several
 * segments; datagrams keep their length. It does not tell the kernel about a fragment
 * (whole is false): an skb may be put into a tunnel once, and one skb may be several
 * fragments in turn. False: it could not.
 */
static NOINLINE bool skb_encapsulate(struct __sk_buff *skb, const struct packet *p, __u32 bytes, bool whole)
{
	struct work *w = work_of();
	__u64 flags = bytes == sizeof(struct iphdr) ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 :
						      BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

	if (!whole)
		flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	else if (p->protocol != IPPROTO_TCP)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	if (!w || bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, flags))
		return false;
	return outer_write((void *)(long)skb->data, (void *)(long)skb->data_end, w, bytes, 0);
}

/*
 * skb_icmp turns the packet into this CPU's error and sends it back, within the limit of
 * errors. The skb is one segment afterwards. It returns a tc action. The verifier looks at
 * it once, not for each caller: it has loops.
 */
__noinline int skb_icmp(struct __sk_buff *skb)
{
	struct icmp_error *e = icmp_of();

	if (!e)
		return TC_ACT_SHOT;
	icmp_settle_refusal(e);
	if (!icmp_allowed(e) || bpf_skb_change_tail(skb, e->quote + sizeof(struct ethhdr), 0) ||
	    bpf_skb_adjust_room(skb, icmp_grows(e), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	if (e->ip6 ? icmp6_write(skb, true, e) : icmp4_write(skb, true, e))
		return TC_ACT_SHOT;
	note(NOTE_ICMP_SENT);
	return bpf_redirect(skb->ifindex, 0);
}

/*
 * skb_error is skb_icmp for an error that may be NULL, and brings an error to a local
 * client.
 */
static INLINE int skb_error(struct __sk_buff *skb, const struct packet *p, struct icmp_error *e)
{
	int sent = e ? skb_icmp(skb) : TC_ACT_SHOT;

	return p->local_out && sent != TC_ACT_SHOT ? skb_to_local_node(skb) : sent;
}

/*
 * skb_finish carries out the verdict on a packet, and returns a tc action. With copy it
 * sends a copy, where the skb is to be several fragments in turn; whole says that the
 * packet is no fragment and no ICMP error.
 */
static INLINE int skb_finish(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
			     const struct sent *sent, enum verdict v, bool whole, bool copy)
{
	switch (v) {
	case DROP:
		return TC_ACT_SHOT;
	case REFUSE:
		return skb_error(skb, p, icmp_refusal(h, p, skb->len - sizeof(struct ethhdr)));
	case TOO_BIG:
		return skb_error(skb, p, icmp_too_big(h, p, skb->len - sizeof(struct ethhdr), sent->mtu));
	case LOCAL_CLIENT:
		return skb_to_local_client(skb, h, p, sent);
	case LOCAL_NODE:
		if (sent->nat && skb_update_l4_csum(skb, h, p, sent, 0))
			return TC_ACT_SHOT;
		if (p->local_out && skb->ifindex != LO_IFINDEX)
			return skb_to_local_node(skb);
		break;
	case FORWARD:
		if (p->local_out ? skb_local_out_csum(skb, h, p, sent)
				 : sent->nat && skb_update_l4_csum(skb, h, p, sent, HOP_SUM))
			return TC_ACT_SHOT;
		if (sent->ifindex != skb->ifindex && skb->vlan_present && !skb_untag(skb))
			return TC_ACT_SHOT;
		if (sent->outer && !skb_encapsulate(skb, p, sent->outer, whole))
			return TC_ACT_SHOT;
		if (p->local_out)
			return skb_leave_by(skb, sent->ifindex);
		if (!copy)
			return skb_send(skb, sent->ifindex);
		bpf_clone_redirect(skb, sent->ifindex, 0);
		return TC_ACT_SHOT;
	default:
		break;
	}
	return copy ? skb_reinject(skb) : TC_ACT_UNSPEC;
}

#endif
