/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * conntrack.h - the kernel's connection tracking, where a service takes all ports of its
 * address. Where this machine translates its servers' own connections to that address
 * (SNAT), answers to them come to it as well. In the kernel connection tracking turns them
 * round before IPVS sees them; so a packet that answers a tracked connection passes.
 *
 * Go says whether the kernel has its functions (internal/dataplane/conntrack.go): without
 * them (no nf_conntrack, or its module is loaded later than weir) nothing is asked. They are
 * weak, so that the programs load then. Their addresses are not asked for: Linux takes none
 * of a module's. They take the hook's own context, which the
 * full path does not have: it returns ASK_CONNTRACK, and is called again after the answer.
 */
#ifndef WEIR_BALANCE_CONNTRACK_H
#define WEIR_BALANCE_CONNTRACK_H

#include "base/bpf.h"
#include "parse/address.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "verdict/work.h"

/* The kernel's entry. It has a member, so that it is no mere declaration, which the loader refuses. */
struct nf_conn {
	unsigned long status;
};

/* struct bpf_ct_opts as Linux 5.18 and all later ones take it (net/netfilter/nf_conntrack_bpf.c). */
struct conntrack_opts {
	__s32 netns; /* CONNTRACK_THIS_NETNS */
	__s32 error;
	__u8 protocol;
	__u8 dir; /* result: which tuple of the connection was found */
	__u8 zero[2];
};

#define CONNTRACK_THIS_NETNS (-1)
#define CONNTRACK_REPLY 1 /* IP_CT_DIR_REPLY */

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 size,
					 struct conntrack_opts *opts, __u32 opts_size) __ksym __weak;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *ctx, struct bpf_sock_tuple *tuple, __u32 size,
					 struct conntrack_opts *opts, __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

/* Whether the kernel has these functions. */
const volatile bool conntrack_functions;

/* conntrack_tuple stores the packet's addresses and ports, and returns the tuple's size. */
static INLINE __u32 conntrack_tuple(struct bpf_sock_tuple *t, const struct packet *p)
{
	if (p->ip6) {
		__builtin_memcpy(t->ipv6.saddr, &p->key.from, sizeof(t->ipv6.saddr));
		__builtin_memcpy(t->ipv6.daddr, &p->key.to, sizeof(t->ipv6.daddr));
		t->ipv6.sport = ports_source(p->key.ports);
		t->ipv6.dport = ports_destination(p->key.ports);
		return sizeof(t->ipv6);
	}
	t->ipv4.saddr = UNMAPPED(p->key.from.lo);
	t->ipv4.daddr = UNMAPPED(p->key.to.lo);
	t->ipv4.sport = ports_source(p->key.ports);
	t->ipv4.dport = ports_destination(p->key.ports);
	return sizeof(t->ipv4);
}

/* conntrack_ask finds the connection of a tuple, whose size the verifier must know. */
static INLINE struct nf_conn *conntrack_ask(void *ctx, struct bpf_sock_tuple *t, __u32 size, struct conntrack_opts *o,
					    bool xdp)
{
	return xdp ? bpf_xdp_ct_lookup(ctx, t, size, o, sizeof(*o)) : bpf_skb_ct_lookup(ctx, t, size, o, sizeof(*o));
}

/*
 * conntrack_answers says whether the packet in this CPU's work answers a connection that
 * the kernel tracks. Ctx is the hook's context.
 */
static INLINE bool conntrack_answers(void *ctx, bool xdp)
{
	struct conntrack_opts opts = { .netns = CONNTRACK_THIS_NETNS };
	struct bpf_sock_tuple tuple = {};
	struct work *w = work_of();
	const struct packet *p;
	struct nf_conn *ct;

	if (!w || !conntrack_functions)
		return false;
	p = &w->packet;
	opts.protocol = p->protocol;
	if (conntrack_tuple(&tuple, p) == sizeof(tuple.ipv6))
		ct = conntrack_ask(ctx, &tuple, sizeof(tuple.ipv6), &opts, xdp);
	else
		ct = conntrack_ask(ctx, &tuple, sizeof(tuple.ipv4), &opts, xdp);
	if (!ct)
		return false;
	bpf_ct_release(ct);
	return opts.dir == CONNTRACK_REPLY;
}

/* One for each hook: global functions, which are verified by themselves. */
__noinline int conntrack_xdp(struct xdp_md *ctx)
{
	return conntrack_answers(ctx, true);
}

__noinline int conntrack_tc(struct __sk_buff *skb)
{
	return conntrack_answers(skb, false);
}

#endif
