/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * own.h - this machine as a client of its own services, and as a server of them
 * that is behind NAT. What it sends itself is met on its way out: over lo where the
 * virtual address is its own, or else by a device.
 *
 * A client that has not asked for another address speaks from the very address
 * that it speaks to. By direct routing and tunnels its server has that address, too,
 * and would take the packet for a lie: there it comes from our address on the way to
 * the server. What comes back has an entry whatever the method (reply.h), and goes
 * home over lo: elsewhere the stack takes nothing that says to come from itself.
 */
#ifndef WEIR_OWN_H
#define WEIR_OWN_H

/* own_addr is one of our addresses, or NULL. */
static INLINE struct addr *own_addr(__u32 index)
{
	return index ? bpf_map_lookup_elem(&own_addrs, &index) : NULL;
}

/*
 * own_source is the address that a packet of this machine's own client gets in
 * the place of its source, or NULL: it keeps it.
 */
static INLINE struct addr *own_source(const struct server *s, const struct flow_key *key, __u32 method)
{
	if (!(method & METHOD_OWN) || METHOD_OF(method) == METHOD_NAT || !same_addr(&key->from, &key->to))
		return NULL;
	return own_addr(s->inner);
}

/* reply_client is the client's own address, of a packet that comes back to it. */
static INLINE const struct addr *reply_client(const struct conn_reply *r, const struct flow_key *key)
{
	return r->back.ifindex & WAY_TO_VIP ? &r->vip : &key->to;
}

/* method_of is the method of a new connection. */
static INLINE __u32 method_of(const struct server *s, const struct packet *p)
{
	return s->method | (p->own ? METHOD_OWN : 0);
}

/*
 * stays says whether a packet goes up the local stack as it is: its server is this
 * machine, not behind NAT, or at a loopback address, from which no answer leaves.
 */
static INLINE bool stays(const struct server *s, __u32 method)
{
	if (!(s->flags & SERVER_LOCAL))
		return false;
	return METHOD_OF(method) != METHOD_NAT || is_loopback(&s->addr);
}

/* answered says whether what comes back of a connection needs an entry. */
static INLINE bool answered(const struct server *s, __u32 method)
{
	if (METHOD_OF(method) == METHOD_NAT)
		return !stays(s, method);
	return method & METHOD_OWN && !(s->flags & SERVER_LOCAL);
}

/*
 * own_sweep deletes the entry of what comes back to a client that has the virtual
 * address, where its connection has gone: whoever ended that looked for it by an
 * address of ours that may have changed meanwhile.
 */
static NOINLINE void own_sweep(const struct flow_key *key, const struct conn *c)
{
	const struct conn_reply *r = &c->of.reply;
	struct flow_key client = { .from = r->vip, .to = r->vip, .ports = r->ports };

	if (r->back.ifindex & WAY_TO_VIP && !bpf_map_lookup_elem(&conns, &client))
		bpf_map_delete_elem(&conns, key);
}

/*
 * own_wanted says whether what this machine sends itself may be ours: to a service,
 * or from a server behind NAT.
 */
static INLINE bool own_wanted(const struct flow_key *key, const struct service_count *n)
{
	enum end *end;

	if (!n->all)
		return false;
	end = bpf_map_lookup_elem(&ends, &key->to);
	if (end && *end & END_VIRTUAL)
		return true;
	end = bpf_map_lookup_elem(&ends, &key->from);
	if (end && *end & END_SERVER)
		return true;
	return n->by_mark && mark_list_of(key);
}

#endif
