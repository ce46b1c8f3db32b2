/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * nat.h - masquerading: the client's packets get the server's address and port,
 * the server's answers the virtual ones again.
 *
 * The answers of a connection have an entry of their own, under the key that
 * they carry, with what the client knows and the way back to it: where its
 * packets come from.
 */
#ifndef WEIR_NAT_H
#define WEIR_NAT_H

static INLINE __u32 csum_word(__u64 old, __u64 new)
{
	__u64 sum = (__u64)(__u32)~old + (__u32)~(old >> 32) + (__u32)new + (__u32)(new >> 32);

	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

/* csum_addr is what changing an address adds to a ones' complement sum (RFC 1624). */
static INLINE __u32 csum_addr(const struct addr *old, const struct addr *new)
{
	__u64 sum = (__u64)csum_word(old->hi, new->hi) + csum_word(old->lo, new->lo);

	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static INLINE __u16 csum_apply(__u16 check, __u64 sum)
{
	sum += (__u16)~check;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/*
 * rewrite gives the packet another destination, or another source. The transport
 * checksum is left to the place where the packet was met: it is told in f what
 * has changed.
 */
static INLINE void rewrite(struct packet *p, struct frame *f, const struct addr *addr, __u16 port,
			   bool destination)
{
	struct addr *old = destination ? &p->key.to : &p->key.from;
	struct udphdr *l4 = p->l4;

	f->nat = true;
	f->csum = csum_addr(old, addr);
	if (p->ip4) {
		p->ip4->check = csum_apply(p->ip4->check, f->csum);
		if (destination)
			p->ip4->daddr = UNMAPPED(addr->lo);
		else
			p->ip4->saddr = UNMAPPED(addr->lo);
	} else if (p->ip6) {
		if (destination)
			__builtin_memcpy(&p->ip6->daddr, addr, 16);
		else
			__builtin_memcpy(&p->ip6->saddr, addr, 16);
	}
	f->new_port = port;
	if (destination) {
		f->old_port = l4->dest;
		l4->dest = port;
	} else {
		f->old_port = l4->source;
		l4->source = port;
	}
}

/* settle_csum settles the transport checksum by arithmetic, where it is whole. */
static INLINE void settle_csum(struct packet *p, const struct frame *f)
{
	bool udp = p->protocol == IPPROTO_UDP;

	if (udp && p->ip4 && !*p->check) /* none (RFC 768) */
		return;
	*p->check = csum_apply(*p->check, (__u64)f->csum + (__u16)~f->old_port + f->new_port);
	if (udp && !*p->check)
		*p->check = 0xffff;
}

/* way_back is where answers to this packet's sender go. */
static INLINE void way_back(struct conn *reply, const struct packet *p, const struct frame *f)
{
	__builtin_memcpy(reply->dst, p->eth->h_source, 6);
	__builtin_memcpy(reply->src, p->eth->h_dest, 6);
	reply->ifindex = f->ifindex;
}

/*
 * nat_remember enters the answers of the packet's flow. It fails where the
 * server has the same client's port in a connection to another virtual address,
 * whose answers could not be told from these.
 */
static NOINLINE bool nat_remember(struct packet *p, struct frame *f, const struct server *s,
				  __u32 index, __u32 service)
{
	struct conn reply = {
		.word = (__u64)STATE_REPLY << 32 | index,
		.service = service,
		.stamp = tick(),
		.vip = p->key.to,
		.ports = p->key.ports,
	};
	struct flow_key key;
	struct conn *old;

	reply_key(&key, &p->key, s);
	way_back(&reply, p, f);
	if (!bpf_map_update_elem(&conns, &key, &reply, BPF_NOEXIST))
		return true;
	old = bpf_map_lookup_elem(&conns, &key);
	if (!old) {
		note(NOTE_TABLE_FULL);
		return false;
	}
	if (conn_state(old->word) != STATE_REPLY)
		return false;
	if (old->ports != p->key.ports || old->vip.lo != p->key.to.lo || old->vip.hi != p->key.to.hi) {
		struct flow_key other = { .from = p->key.from, .to = old->vip, .ports = old->ports };

		if (bpf_map_lookup_elem(&conns, &other))
			return false;
	}
	return !bpf_map_update_elem(&conns, &key, &reply, BPF_ANY);
}

/* nat_refresh follows a client whose packets come another way now. */
static NOINLINE void nat_refresh(struct packet *p, struct frame *f, const struct server *s)
{
	struct flow_key key;
	struct conn *reply;

	reply_key(&key, &p->key, s);
	reply = bpf_map_lookup_elem(&conns, &key);
	if (reply && conn_state(reply->word) == STATE_REPLY)
		way_back(reply, p, f);
}

/* nat sends a client's packet to the server. */
static INLINE enum verdict nat(struct packet *p, struct frame *f, const struct server *s)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	if (!hop_taken(p))
		return drop(DROP_TTL);
	rewrite(p, f, &s->addr, s->port ? s->port : (__u16)(p->key.ports >> 16), true);
	__builtin_memcpy(p->eth->h_dest, s->dst, 6);
	__builtin_memcpy(p->eth->h_source, s->src, 6);
	return FORWARD;
}

/* answer sends a server's packet back to the client, as from the VIP. */
static NOINLINE enum verdict answer(struct packet *p, struct frame *f, struct conn *reply)
{
	struct flow_key key = { .from = p->key.to, .to = reply->vip, .ports = reply->ports };
	struct conn *c = bpf_map_lookup_elem(&conns, &key);
	__u32 now = tick(), server;
	__u64 word;

	if (!c)
		return pass(PASS_NO_CONNECTION);
	word = c->word;
	server = conn_server(word);
	if (server != conn_server(reply->word) || conn_state(word) == STATE_GONE)
		return pass(PASS_NO_CONNECTION);
	if (!hop_taken(p))
		return drop(DROP_TTL);
	conn_advance(c, word, p, now, OUTPUT);
	rewrite(p, f, &reply->vip, reply->ports >> 16, false);
	__builtin_memcpy(p->eth->h_dest, reply->dst, 6);
	__builtin_memcpy(p->eth->h_source, reply->src, 6);
	f->ifindex = reply->ifindex;
	count_out(&service_stats, c->service, f->packets, f->bytes);
	count_out(&server_stats, server, f->packets, f->bytes);
	return FORWARD;
}

#endif
