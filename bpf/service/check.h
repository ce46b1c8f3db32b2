/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * check.h - checks through the virtual address. A check's socket has a mark (SO_MARK) that
 * Go has given to one server of one service; its packets are to the service's address, and
 * weir_local_out forwards them to that very server as it forwards those of a local client.
 * For each such mark there is a service of its own, of the same address, protocol and port
 * and of one server. It is no service by firewall mark: only packets that this machine sends
 * are asked for it, and no lease is, so that a standby checks as well.
 */
#ifndef WEIR_SERVICE_CHECK_H
#define WEIR_SERVICE_CHECK_H

#include "abi.h"
#include "base/bpf.h"
#include "parse/packet.h"
#include "verdict/work.h"

/* check_mark_of is the mark of a check's packet that this machine sends, or 0. */
static INLINE __u32 check_mark_of(const struct __sk_buff *skb)
{
	return (skb->mark & CHECK_MARK_MASK) == CHECK_MARK ? skb->mark : 0;
}

/*
 * check_of is the mark of the packet on the full path where it is a check's, or 0. The field
 * is that of the last packet that this machine has sent: for others it says nothing.
 */
static INLINE __u32 check_of(const struct packet *p)
{
	struct work *w;

	if (!p->local_out)
		return 0;
	w = work_of();
	return w ? w->check : 0;
}

#endif
