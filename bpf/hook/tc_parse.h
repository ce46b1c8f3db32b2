/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_parse.h - the headers of an skb, which may lie outside its linear data, or may
 * begin behind Ethernet.
 */
#ifndef WEIR_HOOK_TC_PARSE_H
#define WEIR_HOOK_TC_PARSE_H

#include "base/bpf.h"
#include "base/maps.h"
#include "parse/address.h"
#include "parse/frame.h"
#include "parse/packet.h"

/* How many bytes are made linear where a packet's headers are not. */
#define PULL_BYTES 256

/* More than the headers of a packet usually have, in bytes. */
#define USUAL_HEADERS 128

/* The longest frame of the usual MTU, in bytes. */
#define USUAL_FRAME (sizeof(struct ethhdr) + 1500)

/*
 * skb_packet begins what is known of an skb. Only of a packet that may be several segments
 * it reads their size. A GSO packet from a virtual machine does not tell its number of
 * segments (virtio_net_hdr_to_skb, linux/virtio_net.h), and is counted by its length.
 */
static INLINE void skb_packet(struct packet *p, const struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;

	packet_begin(p, skb->ifindex, false);
	if (segments <= 1 && skb->len <= USUAL_FRAME)
		return;
	p->segment = skb->gso_size;
	if (segments)
		p->packets = segments;
	else if (p->segment)
		p->packets += (skb->len - USUAL_HEADERS) / p->segment;
}

/* parse_skb is parse for the linear data of an skb. */
static INLINE enum parsed parse_skb(struct __sk_buff *skb, struct headers *h, struct packet *p)
{
	h->summed = false;
	return parse((void *)(long)skb->data, (void *)(long)skb->data_end, h, p);
}

/* skb_pull makes a packet's headers linear. It returns 0, or a negative error. */
static INLINE long skb_pull(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
}

/*
 * parse_pulled is parse_skb, and once more after skb_pull where the linear data was too
 * short.
 */
static INLINE enum parsed parse_pulled(struct __sk_buff *skb, struct headers *h, struct packet *p)
{
	enum parsed parsed = parse_skb(skb, h, p);

	if (parsed != PARSED_SHORT || skb->len <= skb->data_end - skb->data)
		return parsed;
	return skb_pull(skb) ? PARSED_OTHER : parse_skb(skb, h, p);
}

/*
 * skb_lacks_eth says whether the packet may begin behind its Ethernet header: its first
 * bytes are not this device's address.
 */
static INLINE bool skb_lacks_eth(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return false;
	return device_mac && mac_word(eth->h_dest) != device_mac;
}

/*
 * skb_restore_eth puts a missing Ethernet header in front again. Generic XDP may go on
 * with a copy of the packet (skb_pp_cow_data, net/core/skbuff.c) that does not know the
 * length of that header; tc then sees the packet without it. False: it could not.
 */
static NOINLINE bool skb_restore_eth(struct __sk_buff *skb)
{
	/* Both addresses are three words, and the kernel takes only aligned ones on the stack. */
	struct ethhdr eth __attribute__((aligned(4))), seen __attribute__((aligned(4)));
	const __u32 *one = (const void *)&eth, *other = (const void *)&seen;

	if (bpf_skb_load_bytes_relative(skb, 0, &eth, sizeof(eth), BPF_HDR_START_MAC) ||
	    bpf_skb_load_bytes(skb, 0, &seen, sizeof(seen)))
		return false;
	if (one[0] == other[0] && one[1] == other[1] && one[2] == other[2])
		return true;
	return !bpf_skb_change_head(skb, sizeof(eth), 0) && !bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0);
}

#endif
