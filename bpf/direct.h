/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* direct.h - direct routing: new MAC addresses and a hop less to live. */
#ifndef WEIR_DIRECT_H
#define WEIR_DIRECT_H

/* hop_taken decrements TTL or hop limit; false: nothing is left of it. */
static INLINE bool hop_taken(struct packet *p)
{
	if (p->ip4) {
		__u32 check;

		if (p->ip4->ttl <= 1)
			return false;
		/* RFC 1624: TTL is the high byte of its 16-bit word. */
		check = p->ip4->check + bpf_htons(0x0100);
		p->ip4->check = check + (check >= 0xffff);
		p->ip4->ttl--;
		return true;
	}
	if (!p->ip6 || p->ip6->hop_limit <= 1)
		return false;
	p->ip6->hop_limit--;
	return true;
}

static INLINE enum verdict direct(struct packet *p, const struct server *s)
{
	if (!(s->flags & SERVER_RESOLVED))
		return drop(DROP_NO_NEXT_HOP);
	if (!hop_taken(p))
		return drop(DROP_TTL);
	__builtin_memcpy(p->eth->h_dest, s->dst, 6);
	__builtin_memcpy(p->eth->h_source, s->src, 6);
	return FORWARD;
}

#endif
