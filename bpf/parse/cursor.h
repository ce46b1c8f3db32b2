/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cursor.h - a position in a frame that never passes its end. */
#ifndef WEIR_PARSE_CURSOR_H
#define WEIR_PARSE_CURSOR_H

#include "base/bpf.h"

struct cursor {
	void *pos, *end;
};

/* take moves the cursor over n bytes and returns where they begin, or NULL. */
static INLINE void *take(struct cursor *c, __u32 n)
{
	void *p = c->pos;

	if (p + n > c->end)
		return NULL;
	c->pos = p + n;
	return p;
}

#endif
