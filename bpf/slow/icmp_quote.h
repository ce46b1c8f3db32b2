/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * icmp_quote.h - the packet that an ICMP error quotes: it is read, and translated as the
 * connection's packets are.
 */
#ifndef WEIR_SLOW_ICMP_QUOTE_H
#define WEIR_SLOW_ICMP_QUOTE_H

#include "abi.h"
#include "base/bpf.h"
#include "forward/nat.h"
#include "parse/address.h"
#include "parse/checksum.h"
#include "parse/cursor.h"
#include "parse/ip.h"
#include "parse/packet.h"
#include "parse/ports.h"
#include "slow/icmp.h"

/* Pointers to the parts of an ICMP error in the frame. */
struct quote {
	struct icmp_head *icmp;
	struct iphdr *ip4; /* the quoted IP header; one of the two is NULL */
	struct ipv6hdr *ip6;
	struct udphdr *l4;
	__u16 *check; /* the quoted transport checksum, or NULL where it is cut off */
};

/*
 * quoted_ports reads the ports of the quoted packet, of which 8 bytes of the transport
 * header are enough. False: they are not there.
 */
static INLINE bool quoted_ports(struct cursor *c, struct quote *q, struct packet *of)
{
	struct tcphdr *tcp = c->pos;

	if (of->protocol != IPPROTO_TCP && of->protocol != IPPROTO_UDP)
		return false;
	q->l4 = take(c, sizeof(*q->l4));
	if (!q->l4)
		return false;
	q->check = NULL;
	if (of->protocol == IPPROTO_UDP)
		q->check = &q->l4->check;
	else if (take(c, offsetof(struct tcphdr, urg_ptr) - sizeof(*q->l4)))
		q->check = &tcp->check;
	of->key.ports = ports_word(q->l4->source, q->l4->dest, of->protocol);
	return true;
}

/*
 * parse_quote reads an ICMP error at the cursor, behind its IP header, and gives its
 * packet (p) the key of the flow that it is about, as the packets of the error's sender
 * carry it. False: it is no such error, or was sent to somebody else than the sender of
 * the quoted packet.
 */
static INLINE bool parse_quote(struct cursor *c, struct quote *q, struct packet *p, struct packet *of)
{
	__be16 type = p->ip6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	struct ip_fragment piece = {};
	struct headers h;

	q->icmp = take(c, sizeof(*q->icmp));
	if (!q->icmp || !is_error(q->icmp, p->ip6))
		return false;
	if (parse_ip(c, type, &h, of, &piece) != PARSED || !quoted_ports(c, q, of))
		return false;
	q->ip4 = h.ip4;
	q->ip6 = h.ip6;
	if (!same_addr(&of->key.from, &p->key.to))
		return false;
	p->key.from = of->key.to;
	p->key.ports = ports_turned(of->key.ports);
	return true;
}

/*
 * translate_quote gives the error another destination and the quoted packet another
 * source, to_server, or the other way round. It corrects the error's checksum and the
 * quoted ones.
 */
static INLINE void translate_quote(const struct headers *h, const struct quote *q, bool udp,
				   const struct addr *old, const struct addr *new, __u16 port, bool to_server)
{
	struct headers quoted = { .ip4 = q->ip4, .ip6 = q->ip6 };
	struct addr outer = *old;
	__u16 was, *at = to_server ? &q->l4->source : &q->l4->dest;
	__u32 moved, sum;

	if (!to_server && h->ip4)
		outer.lo = MAPPED(h->ip4->saddr);
	else if (!to_server && h->ip6)
		__builtin_memcpy(&outer, &h->ip6->saddr, 16);
	sum = rewrite_addr(h, &outer, new, to_server);
	if (h->ip4) /* the checksum of ICMPv4 has no addresses in it */
		sum = csum_short(q->ip4 ? q->ip4->check : 0, 0);
	moved = rewrite_addr(&quoted, old, new, !to_server);
	if (q->ip4)
		sum += q->ip4->check;
	sum += moved + csum_short(*at, port);
	if (q->check && !(udp && !*q->check)) {
		was = *q->check;
		*q->check = csum_apply(was, moved + csum_short(*at, port));
		if (udp && !*q->check)
			*q->check = 0xffff;
		sum += csum_short(was, *q->check);
	}
	*at = port;
	q->icmp->check = csum_apply(q->icmp->check, sum);
}

#endif
