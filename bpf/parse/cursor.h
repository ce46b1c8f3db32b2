/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cursor.h - a position in a frame that never passes its end. */
#ifndef WEIR_PARSE_CURSOR_H
#define WEIR_PARSE_CURSOR_H

#include "base/bpf.h"

/* A position in a frame. Both are pointers into the frame, and pos never passes end. */
struct cursor {
	void *pos, *end;
};

/*
 * take moves the cursor over n bytes and returns a pointer to the first. It returns
 * NULL, and does not move the cursor, where the frame has fewer bytes left.
 */
static INLINE void *take(struct cursor *c, __u32 n)
{
	void *p = c->pos;

	if (p + n > c->end)
		return NULL;
	c->pos = p + n;
	return p;
}

#endif
