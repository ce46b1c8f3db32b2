/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tags.h - VLAN tags in the frame (IEEE 802.1Q, 802.1ad). */
#ifndef WEIR_SLOW_TAGS_H
#define WEIR_SLOW_TAGS_H

#include "base/bpf.h"
#include "parse/cursor.h"
#include "parse/frame.h"
#include "verdict/work.h"

/*
 * parse_tags moves the cursor over up to two VLAN tags and stores them, as they are in
 * the frame. It returns the Ethernet type behind them, in network byte order, or 0 where
 * the frame is too short.
 */
static INLINE __be16 parse_tags(struct cursor *c, struct slow_packet *r, __be16 type)
{
	__be16 *tag;

	r->tag_bytes = 0;
	for (__u32 i = 0; i < MAX_TAGS && is_tag(type); i++) {
		tag = take(c, TAG_BYTES);
		if (!tag)
			return 0;
		r->tags[i] = type | (__u32)tag[0] << 16;
		r->tag_bytes += TAG_BYTES;
		type = tag[1];
	}
	return type;
}

#endif
