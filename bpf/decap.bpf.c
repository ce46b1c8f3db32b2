// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * decap.bpf.c - a real server's end of a tunnel, at tc ingress: it takes the outer header
 * off packets for a VIP, and the inner packet goes on up the local stack. It is for kernels
 * without ipip, sit or ip6tnl devices, and for machines where nothing but packets for the
 * VIPs may come out of a tunnel.
 *
 * Every other packet passes untouched, and is counted if it looks like a tunnel's.
 * Fragments of an outer packet are among these: the kernel reassembles them only after tc
 * ingress, finds no receiver for the whole, and answers "protocol unreachable". So the
 * path from the director must carry the outer packet whole. The director sees to that: it
 * sets DF, and tells clients the path MTU.
 */
#include "abi.h"
#include "base/bpf.h"
#include "parse/address.h"
#include "parse/cursor.h"

/* Since 6.3; older headers lack them (include/uapi/linux/bpf.h). */
#define DECAP_L3_IPV4 (1ULL << 7)
#define DECAP_L3_IPV6 (1ULL << 8)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What became of a packet that looked like a tunnel's. */
enum decap_count {
	DECAPSULATED,
	PASSED_ADDRESS,   /* the outer destination is no address of the tunnel */
	PASSED_FRAGMENT,  /* a fragment of an outer packet */
	PASSED_OPTIONS,   /* an outer header with options or an extension header */
	PASSED_MALFORMED, /* headers that are cut, wrong, or longer than the packet */
	PASSED_SOURCE,    /* the sender is no director */
	PASSED_INNER,     /* the inner destination is no VIP */
	PASSED_REFUSED,   /* the kernel's helper would not take the header off */
	DROPPED_CE,       /* the outer header says congestion, and the inner one cannot carry it */
	DECAP_COUNTS,
};

/* Addresses, each as a key; the value means nothing. */
#define ADDRS(name_)                                                                               \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_HASH);                                                   \
		__type(key, struct addr);                                                          \
		__type(value, __u8);                                                               \
		__uint(max_entries, MAX_VIPS);                                                     \
	} name_ SEC(".maps")

ADDRS(vips);
ADDRS(tunnel_addrs);
ADDRS(directors);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, enum decap_count);
	__type(value, __u64);
	__uint(max_entries, DECAP_COUNTS);
} counts SEC(".maps");

/* Only directors may send through the tunnel; false: anybody may. Go sets it. */
volatile const bool directors_only;

/* Results that are not counted: the packet is no tunnel's, or ends before its headers do. */
#define NO_TUNNEL -1
#define SHORT -2

/* What is known of a tunnelled packet. */
struct tunnelled {
	struct addr from, to, inner_to;
	__u32 bytes;     /* the length of the frame behind its Ethernet header */
	__u32 outer_len; /* the length of the outer header */
	__u32 payload;   /* the length of the payload, by the outer header */
	bool outer6, inner6;
	__u8 outer_ecn, inner_ecn;
	__u8 tos;        /* byte 1 of the inner header: IPv4's whole type of service, half of IPv6's */
};

#define ECN 3
#define ECT1 1
#define ECT0 2
#define CE 3

/* among says whether the address is in the map. */
static INLINE bool among(void *addrs, const struct addr *a)
{
	return bpf_map_lookup_elem(addrs, a);
}

/* tunnels says whether an IP protocol is that of a tunnel (RFC 2003, RFC 2473, RFC 4213). */
static INLINE bool tunnels(__u8 protocol)
{
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* sum_fits says whether the checksum of an IPv4 header of 20 bytes is correct (RFC 1071). */
static INLINE bool sum_fits(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/*
 * parse_outer4 reads the outer IPv4 header. It returns DECAPSULATED where the packet may be
 * decapsulated, another enum decap_count, NO_TUNNEL or SHORT.
 */
static INLINE int parse_outer4(struct cursor *c, struct tunnelled *t)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	__u32 total;

	if (!ip)
		return SHORT;
	if (ip->version != 4 || !tunnels(ip->protocol))
		return NO_TUNNEL;
	t->from.hi = t->to.hi = 0;
	t->from.lo = MAPPED(ip->saddr);
	t->to.lo = MAPPED(ip->daddr);
	if (!among(&tunnel_addrs, &t->to))
		return PASSED_ADDRESS;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return PASSED_FRAGMENT;
	if (ip->ihl > 5)
		return PASSED_OPTIONS;
	total = bpf_ntohs(ip->tot_len);
	/* The checksum is verified here, since the kernel never sees this header. */
	if (ip->ihl < 5 || total < sizeof(*ip) || total > t->bytes || !sum_fits(ip))
		return PASSED_MALFORMED;
	t->outer6 = false;
	t->outer_len = sizeof(*ip);
	t->payload = total - sizeof(*ip);
	t->outer_ecn = ip->tos & ECN;
	t->inner6 = ip->protocol == IPPROTO_IPV6;
	return DECAPSULATED;
}

/*
 * parse_extension reads an extension header of the outer packet, only to count it: Linux's
 * own tunnels put a destination option there (RFC 2473), directors do not.
 */
static INLINE int parse_extension(struct cursor *c, __u8 kind)
{
	__u8 *ext;

	switch (kind) {
	case IPPROTO_FRAGMENT:
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		ext = take(c, 8);
		if (!ext)
			return SHORT;
		if (!tunnels(ext[0]))
			return NO_TUNNEL;
		return kind == IPPROTO_FRAGMENT ? PASSED_FRAGMENT : PASSED_OPTIONS;
	}
	return NO_TUNNEL;
}

/* parse_outer6 is parse_outer4 for IPv6 (RFC 2473). */
static INLINE int parse_outer6(struct cursor *c, struct tunnelled *t)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	int found;

	if (!ip)
		return SHORT;
	if (ip->version != 6)
		return NO_TUNNEL;
	if (!tunnels(ip->nexthdr)) {
		found = parse_extension(c, ip->nexthdr);
		if (found < 0)
			return found;
	} else {
		found = DECAPSULATED;
	}
	t->from = *(struct addr *)&ip->saddr;
	t->to = *(struct addr *)&ip->daddr;
	if (!among(&tunnel_addrs, &t->to))
		return PASSED_ADDRESS;
	if (found != DECAPSULATED)
		return found;
	t->outer6 = true;
	t->outer_len = sizeof(*ip);
	t->payload = bpf_ntohs(ip->payload_len);
	if (t->payload + sizeof(*ip) > t->bytes)
		return PASSED_MALFORMED;
	t->outer_ecn = ((__u8 *)ip)[1] >> 4 & ECN;
	t->inner6 = ip->nexthdr == IPPROTO_IPV6;
	return DECAPSULATED;
}

/*
 * parse_inner4 reads the inner IPv4 header. It returns DECAPSULATED, PASSED_MALFORMED or
 * SHORT.
 */
static INLINE int parse_inner4(struct cursor *c, struct tunnelled *t)
{
	struct iphdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return SHORT;
	if (ip->version != 4 || ip->ihl < 5 || bpf_ntohs(ip->tot_len) < ip->ihl * 4 ||
	    bpf_ntohs(ip->tot_len) > t->payload)
		return PASSED_MALFORMED;
	t->inner_to.hi = 0;
	t->inner_to.lo = MAPPED(ip->daddr);
	t->tos = ip->tos;
	t->inner_ecn = ip->tos & ECN;
	return DECAPSULATED;
}

/* parse_inner6 is parse_inner4 for IPv6. */
static INLINE int parse_inner6(struct cursor *c, struct tunnelled *t)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));

	if (!ip)
		return SHORT;
	if (ip->version != 6 || bpf_ntohs(ip->payload_len) + sizeof(*ip) > t->payload)
		return PASSED_MALFORMED;
	t->inner_to = *(struct addr *)&ip->daddr;
	t->tos = ((__u8 *)ip)[1];
	t->inner_ecn = t->tos >> 4 & ECN;
	return DECAPSULATED;
}

/* parse_tunnelled reads both headers. It returns an enum decap_count, NO_TUNNEL or SHORT. */
static INLINE int parse_tunnelled(struct __sk_buff *skb, struct tunnelled *t)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	int found = NO_TUNNEL;

	if (!take(&c, sizeof(struct ethhdr)))
		return SHORT;
	t->bytes = skb->len - sizeof(struct ethhdr);
	if (skb->protocol == bpf_htons(ETH_P_IP))
		found = parse_outer4(&c, t);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		found = parse_outer6(&c, t);
	if (found != DECAPSULATED)
		return found;
	found = t->inner6 ? parse_inner6(&c, t) : parse_inner4(&c, t);
	if (found != DECAPSULATED)
		return found;
	if (directors_only && !among(&directors, &t->from))
		return PASSED_SOURCE;
	if (!among(&vips, &t->inner_to))
		return PASSED_INNER;
	if (t->outer_ecn == CE && !t->inner_ecn)
		return DROPPED_CE;
	return DECAPSULATED;
}

/*
 * take_off removes the outer header; 0: it did. The size of a GSO packet's segments stays,
 * since it is the inner packet's. The state of the skb's checksum stays as well: it is the
 * inner TCP's or UDP's, since a tunnel's header has no such checksum.
 */
static INLINE long take_off(struct __sk_buff *skb, const struct tunnelled *t)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	__be16 proto = t->inner6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);

	if (t->inner6 == t->outer6)
		return bpf_skb_adjust_room(skb, -(int)t->outer_len, BPF_ADJ_ROOM_MAC, flags);
	flags |= t->inner6 ? DECAP_L3_IPV6 : DECAP_L3_IPV4;
	if (bpf_skb_adjust_room(skb, -(int)t->outer_len, BPF_ADJ_ROOM_MAC, flags))
		return -1;
	bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_proto), &proto, sizeof(proto), 0);
	return 0;
}

/*
 * carry_ecn gives the inner packet the outer packet's congestion mark (RFC 6040, figure 4);
 * 0: it did. A packet that cannot carry the mark was dropped before.
 */
static INLINE long carry_ecn(struct __sk_buff *skb, const struct tunnelled *t)
{
	__u32 shift = t->inner6 ? 4 : 0;
	__u8 ecn = t->outer_ecn, tos;

	if (ecn == t->inner_ecn || t->inner_ecn == CE || !t->inner_ecn)
		return 0;
	if (ecn != CE && ecn != ECT1)
		return 0;
	tos = (t->tos & ~(ECN << shift)) | ecn << shift;
	if (t->inner6)
		return bpf_skb_store_bytes(skb, sizeof(struct ethhdr) + 1, &tos, 1, BPF_F_RECOMPUTE_CSUM);
	/* The header's checksum changes with the byte, so the packet's sum stays the same. */
	if (bpf_l3_csum_replace(skb, sizeof(struct ethhdr) + offsetof(struct iphdr, check),
				bpf_htons(t->tos), bpf_htons(tos), 2))
		return -1;
	return bpf_skb_store_bytes(skb, sizeof(struct ethhdr) + offsetof(struct iphdr, tos), &tos, 1, 0);
}

/* decapsulate decapsulates a packet, or leaves it alone. It returns an enum decap_count or NO_TUNNEL. */
static INLINE int decapsulate(struct __sk_buff *skb)
{
	const __u32 headers = sizeof(struct ethhdr) + 2 * sizeof(struct ipv6hdr);
	struct tunnelled t = {};
	int found = parse_tunnelled(skb, &t);

	if (found == SHORT && skb->len > skb->data_end - skb->data) {
		if (bpf_skb_pull_data(skb, skb->len < headers ? skb->len : headers))
			return NO_TUNNEL;
		found = parse_tunnelled(skb, &t);
	}
	if (found == SHORT)
		return t.outer_len ? PASSED_MALFORMED : NO_TUNNEL;
	if (found != DECAPSULATED)
		return found;
	if (take_off(skb, &t))
		return PASSED_REFUSED;
	bpf_set_hash_invalid(skb); /* it was the tunnel's, the same for all clients */
	return carry_ecn(skb, &t) ? DROPPED_CE : DECAPSULATED;
}

/*
 * weir_decap leaves a frame with a VLAN tag alone: the frame comes in again by its VLAN
 * device, without the tag.
 */
SEC("tc")
int weir_decap(struct __sk_buff *skb)
{
	enum decap_count key;
	__u64 *n;
	int found;

	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_UNSPEC;
	found = decapsulate(skb);
	if (found < 0)
		return TC_ACT_UNSPEC;
	key = found;
	n = bpf_map_lookup_elem(&counts, &key);
	if (n)
		(*n)++;
	return found == DROPPED_CE ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}
