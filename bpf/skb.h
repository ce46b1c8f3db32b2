/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * skb.h - packets as tc has them: with a VLAN tag beside the bytes, checksums that are
 * half-finished, several segments in one; and they can be copied.
 */
#ifndef WEIR_SKB_H
#define WEIR_SKB_H

/* How often others may be faster to enter a fragment that has to wait. */
#define HOLD_TRIES 4

/* held_fits: two comparisons, as the verifier of 6.1 does not follow what becomes of one. */
static INLINE bool held_fits(__u32 *bytes)
{
	if (*bytes < sizeof(struct ethhdr))
		return false;
	asm volatile("" : "+r"(*bytes));
	return *bytes <= HELD_BYTES;
}

/*
 * skb_hold puts the packet into the ring of those that wait. It says what is to
 * become of the one at hand: DROP, or PASS where it cannot be held; HOLD when the
 * first has come meanwhile.
 */
__noinline int skb_hold(struct __sk_buff *skb)
{
	__u32 zero = 0, at, bytes = skb->len;
	__u64 *turns = bpf_map_lookup_elem(&held_turns, &zero), turn, word;
	struct work *w = work_of();
	struct fragment *f;
	struct held *h;

	if (!turns || !w || !held_fits(&bytes))
		return pass(PASS_FRAGMENT);
	turn = __sync_fetch_and_add(turns, 1) + 1;
	at = turn % MAX_HELD;
	h = bpf_map_lookup_elem(&held_fragments, &at);
	f = fragment_place(w);
	if (!h || !f)
		return pass(PASS_FRAGMENT);
	h->turn = 0;
	h->bytes = bytes;
	if (bpf_skb_load_bytes(skb, 0, h->frame, bytes))
		return pass(PASS_FRAGMENT);
	for (int i = 0; i < HOLD_TRIES; i++) {
		word = *(volatile __u64 *)&f->word;
		if (word == FRAGMENT_KNOWN)
			return HOLD;
		h->next = word;
		__sync_lock_test_and_set(&h->turn, turn);
		if (__sync_val_compare_and_swap(&f->word, word, turn) == word) {
			note(NOTE_FRAGMENT_HELD);
			return DROP;
		}
	}
	return pass(PASS_FRAGMENT);
}

/*
 * skb_held makes the skb the one that w->waiting says, and that the one before it.
 * It says whether there was one.
 */
static INLINE bool skb_held(struct __sk_buff *skb, struct work *w)
{
	__u64 turn = w->waiting;
	__u32 at = turn % MAX_HELD, bytes;
	struct held *h = bpf_map_lookup_elem(&held_fragments, &at);

	w->waiting = 0;
	if (!turn || !h || h->turn != turn)
		return false;
	bytes = h->bytes;
	if (!held_fits(&bytes) || bpf_skb_change_tail(skb, bytes, 0) ||
	    bpf_skb_store_bytes(skb, 0, h->frame, bytes, 0))
		return false;
	w->waiting = h->next;
	return *(volatile __u64 *)&h->turn == turn; /* else another has taken its place */
}

/* Headers beyond these bytes are pulled in only when a packet needs them. */
#define PULL_BYTES 256

static INLINE enum parsed parse_skb(struct __sk_buff *skb, struct headers *h, struct packet *p)
{
	return parse((void *)(long)skb->data, (void *)(long)skb->data_end, h, p);
}

/* skb_pull makes sure that a packet's headers can be read. */
static INLINE long skb_pull(struct __sk_buff *skb)
{
	return bpf_skb_pull_data(skb, skb->len < PULL_BYTES ? skb->len : PULL_BYTES);
}

/* parse_pulled parses a packet whose headers may lie beyond what can be read at once. */
static INLINE enum parsed parse_pulled(struct __sk_buff *skb, struct headers *h, struct packet *p)
{
	enum parsed parsed = parse_skb(skb, h, p);

	if (parsed != PARSED_SHORT || skb->len <= skb->data_end - skb->data)
		return parsed;
	return skb_pull(skb) ? PARSED_OTHER : parse_skb(skb, h, p);
}

/*
 * skb_headless says whether the packet may begin behind its Ethernet header: its first
 * bytes are not this device's address.
 */
static INLINE bool skb_headless(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return false;
	return device_mac && mac_word(eth->h_dest) != device_mac;
}

/*
 * skb_mend puts the header in front again. Generic XDP may go on with a copy of the packet
 * (skb_pp_cow_data, net/core/skbuff.c), which does not know how long that header is; what
 * tc then sees begins behind it.
 */
static NOINLINE bool skb_mend(struct __sk_buff *skb)
{
	struct ethhdr eth, seen;

	if (bpf_skb_load_bytes_relative(skb, 0, &eth, sizeof(eth), BPF_HDR_START_MAC) ||
	    bpf_skb_load_bytes(skb, 0, &seen, sizeof(seen)))
		return false;
	if (mac_word(eth.h_dest) == mac_word(seen.h_dest) && mac_word(eth.h_source) == mac_word(seen.h_source))
		return true;
	return !bpf_skb_change_head(skb, sizeof(eth), 0) && !bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0);
}

/*
 * settle_skb_csum settles the transport checksum of an skb, which a local sender
 * leaves half-finished: the kernel's helpers know about that.
 */
static INLINE long settle_skb_csum(struct __sk_buff *skb, const struct headers *h,
				   const struct packet *p, const struct sent *sent)
{
	__u64 flags = p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	long err = bpf_l4_csum_replace(skb, h->check_offset, 0, sent->csum, flags | BPF_F_PSEUDO_HDR);

	if (err || sent->old_port == sent->new_port)
		return err;
	return bpf_l4_csum_replace(skb, h->check_offset, sent->old_port, sent->new_port, flags | 2);
}

/*
 * skb_untag takes off the tags that the packet came with: it leaves by another
 * device, whose own affair tags are.
 */
static INLINE bool skb_untag(struct __sk_buff *skb)
{
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return false;
	return !skb->vlan_present || !bpf_skb_vlan_pop(skb);
}

/* In tc_index: what this machine sends itself has been balanced, and is not again. */
#define OWN_DONE 0x7765

/* skb_leave has what this machine sends itself leave by a device. */
static INLINE int skb_leave(struct __sk_buff *skb, __u32 ifindex)
{
	if (ifindex == skb->ifindex)
		return TC_ACT_UNSPEC;
	skb->tc_index = OWN_DONE;
	return bpf_redirect(ifindex, 0);
}

/*
 * skb_up has it come back to this machine. Over lo it is about to. (Not by a
 * look-up of its own, as in skb_home: at this place, older kernels lose the route
 * that the packet has.)
 */
static INLINE int skb_up(struct __sk_buff *skb)
{
	if (skb->ifindex != WAY_HOME)
		return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	skb->tc_index = OWN_DONE;
	return bpf_redirect(WAY_HOME, 0);
}

/* TCP's option for the longest segment (RFC 9293 section 3.2), where senders have it. */
struct tcp_mss {
	__u8 kind, length;
	__be16 bytes;
};

/*
 * skb_clamp has both ends of this machine's own connection send no longer segments
 * than the way to the server takes: of lo, where the client is, one has 64 KB.
 */
static NOINLINE long skb_clamp(struct __sk_buff *skb, __u32 check_offset, __u32 most)
{
	__u32 tcp = check_offset - offsetof(struct tcphdr, check), at = tcp + sizeof(struct tcphdr);
	__be16 bytes = bpf_htons(most);
	struct tcp_mss o;
	__u8 length;

	if (bpf_skb_load_bytes(skb, tcp + 12, &length, 1) || length >> 4 <= sizeof(struct tcphdr) / 4 ||
	    bpf_skb_load_bytes(skb, at, &o, sizeof(o)))
		return 0;
	if (o.kind != 2 || o.length != sizeof(o) || bpf_ntohs(o.bytes) <= most)
		return 0;
	return bpf_l4_csum_replace(skb, check_offset, o.bytes, bytes, sizeof(bytes)) ||
	       bpf_skb_store_bytes(skb, at + offsetof(struct tcp_mss, bytes), &bytes, sizeof(bytes), 0);
}

/* skb_own_csum is settle_skb_csum for this machine's own client. */
static INLINE long skb_own_csum(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
				const struct sent *sent)
{
	__u32 headers = sizeof(struct tcphdr) + (p->ip6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (sent->nat && settle_skb_csum(skb, h, p, sent))
		return -1;
	if (p->protocol != IPPROTO_TCP || !(p->tcp_flags & TCP_SYN) || sent->mtu <= headers)
		return 0;
	return skb_clamp(skb, h->check_offset, sent->mtu - headers);
}

/*
 * skb_home sends an answer to this machine's own client, with a route that is found
 * on its way out to lo: on its way in, the stack would take no packet that says to
 * come from this machine itself.
 */
static INLINE int skb_home(struct __sk_buff *skb, const struct headers *h, const struct packet *p,
			   const struct sent *sent)
{
	if (skb_own_csum(skb, h, p, sent))
		return TC_ACT_SHOT;
	if (p->own)
		return skb_leave(skb, WAY_HOME);
	if (skb->vlan_present && !skb_untag(skb))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(WAY_HOME, NULL, 0, 0);
}

/* skb_again has a copy come in once more. */
static INLINE int skb_again(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	return TC_ACT_SHOT;
}

/* skb_error sends an error about the packet instead of it. */
static INLINE int skb_error(struct __sk_buff *skb, const struct packet *p, struct icmp_error *e)
{
	int sent = e ? skb_icmp(skb, e) : TC_ACT_SHOT;

	return p->own && sent != TC_ACT_SHOT ? skb_up(skb) : sent;
}

/*
 * skb_finish does what was decided of the packet. A copy of it goes where it is
 * one of several, of which the skb is each in turn.
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
	case HOME:
		return skb_home(skb, h, p, sent);
	case UP:
		if (sent->nat && settle_skb_csum(skb, h, p, sent))
			return TC_ACT_SHOT;
		if (p->own && skb->ifindex != WAY_HOME)
			return skb_up(skb);
		break;
	case FORWARD:
		if (p->own ? skb_own_csum(skb, h, p, sent) : sent->nat && settle_skb_csum(skb, h, p, sent))
			return TC_ACT_SHOT;
		if (sent->ifindex != skb->ifindex && skb->vlan_present && !skb_untag(skb))
			return TC_ACT_SHOT;
		if (sent->outer && !skb_encapsulate(skb, p, sent->outer, whole))
			return TC_ACT_SHOT;
		if (p->own)
			return skb_leave(skb, sent->ifindex);
		if (!copy)
			return bpf_redirect(sent->ifindex, 0);
		bpf_clone_redirect(skb, sent->ifindex, 0);
		return TC_ACT_SHOT;
	default:
		break;
	}
	return copy ? skb_again(skb) : TC_ACT_UNSPEC;
}

/* skb_rare finds out what a rare packet is (enum rare_next). */
__noinline int skb_rare(struct __sk_buff *skb)
{
	struct work *w = work_of();
	enum rare_next next;

	if (!w || skb_pull(skb))
		return RARE_PASS;
	w->rare.copy = false;
	w->waiting = 0;
	next = rare_begin((void *)(long)skb->data, (void *)(long)skb->data_end, w, skb->ifindex);
	w->packet.bytes = skb->len - sizeof(struct ethhdr) - w->rare.tag_bytes;
	return next;
}

/*
 * skb_rare_send sends the packet, or, where others have waited for it, a copy: then
 * the skb is each of them in turn.
 */
__noinline int skb_rare_send(struct __sk_buff *skb, int decided)
{
	struct work *w = work_of();
	enum verdict v = decided;
	struct sent sent = {};
	struct headers h;
	struct quote q;
	bool copy;

	if (!w)
		return TC_ACT_UNSPEC;
	if (w->rare.kind == RARE_FIRST)
		w->waiting = fragment_settle(w, v, true);
	if (w->packet.own) /* in their order */
		w->waiting = 0;
	copy = w->waiting || w->rare.copy;
	if (v == HOLD || (v == PASS && !copy))
		return TC_ACT_UNSPEC;
	/* No copy can be given a route. It finds its first known, and is the packet itself. */
	if (v == FORWARD && copy && goes_home(w))
		return skb_again(skb);
	if (!rare_headers((void *)(long)skb->data, (void *)(long)skb->data_end, &h, &q, w))
		return TC_ACT_UNSPEC;
	if (v == FORWARD)
		v = rare_send(&h, &q, &sent, w);
	/* The kernel's helpers put nothing between tags and packet. */
	if (w->rare.tag_bytes && (v == REFUSE || v == TOO_BIG || sent.outer))
		return TC_ACT_SHOT;
	if (v == REFUSE || v == TOO_BIG)
		w->waiting = 0;
	return skb_finish(skb, &h, &w->packet, &sent, v, w->rare.kind == RARE_WHOLE, copy);
}

/* skb_next makes the skb the next fragment that has waited. */
__noinline int skb_next(struct __sk_buff *skb)
{
	struct work *w = work_of();
	__u64 next;

	if (!w || !skb_held(skb, w))
		return false;
	next = w->waiting;
	if (skb_rare(skb) != RARE_ROUTE)
		return false;
	w->waiting = next;
	w->rare.copy = true;
	return true;
}

/* As many as the longest packet has that is cut for the shortest MTU of IPv6, and then some. */
#define RELEASE_MOST 64

/* skb_decided sends a packet of which full() or rare_route() has decided, and what waited for it. */
static INLINE int skb_decided(struct __sk_buff *skb, enum verdict v)
{
	int ret;

	if (v == HOLD)
		v = skb_hold(skb);
	if (v == HOLD) /* the first has come in this moment */
		v = rare_route();
	ret = skb_rare_send(skb, v);
	for (int i = 0; i < RELEASE_MOST; i++) {
		if (!skb_next(skb))
			break;
		skb_rare_send(skb, rare_route());
	}
	return ret;
}

#endif
