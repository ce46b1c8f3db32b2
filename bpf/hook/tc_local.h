/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tc_local.h - packets that this machine itself sends, and the answers to its local
 * clients.
 */
#ifndef WEIR_HOOK_TC_LOCAL_H
#define WEIR_HOOK_TC_LOCAL_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"
#include "balance/route.h"
#include "conn/reply_key.h"
#include "conn/index.h"
#include "conn/older.h"
#include "hook/tc_slow.h"
#include "parse/packet.h"
#include "service/addr_filter.h"
#include "service/firewall_mark.h"
#include "slow/classify.h"
#include "verdict/work.h"

/*
 * skb_route sends a packet by the full path, without the flow cache, and returns a tc action. The
 * slow path sends it, so that the verifier goes through the sending once.
 */
static INLINE int skb_route(struct __sk_buff *skb, struct work *w, const struct headers *h,
			    const struct packet *p)
{
	slow_whole(w, h, p);
	w->reply_route = (struct next_hop){ .ifindex = LO_IFINDEX };
	return skb_slow_send(skb, route_packet());
}

/* reply_of is the connection that an answer with this key belongs to, or NULL. */
static INLINE struct conn *reply_of(const struct flow_key *key)
{
	__u64 found = conn_seek(index_hash(key), key), word;

	return found_answers(found) ? found_conn(found, &word) : NULL;
}

/* is_reply_by_tc says whether the packet is a server's answer that XDP leaves to tc. */
static INLINE bool is_reply_by_tc(const struct flow_key *key, __u32 from)
{
	struct conn *c = reply_of(key);

	return c && reply_by_tc(&c->route, from);
}

/* set_local_out marks a packet that skb_classify has read as sent by this machine. */
static INLINE void set_local_out(struct work *w)
{
	w->packet.local_out = true;
	w->packet.sender = 0;
	w->reply_route = (struct next_hop){ .ifindex = LO_IFINDEX };
}

/*
 * local_out_wanted says whether a packet that this machine sends may be to a service, or
 * from a server behind NAT.
 */
static INLINE bool local_out_wanted(const struct flow_key *key)
{
	if (!service_counts.families)
		return false;
	return !local_out_passes_by(key) || (service_counts.by_mark && mark_list_of(key));
}

#endif
