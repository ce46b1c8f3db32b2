/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * service_slots.h - a service by its key. The kernel's hash of a key costs more than all else of
 * the look-up; so a hash of one multiplication leads to the service's entry. Where two services
 * have one slot, and where Go is just adding one, the table of services tells the index.
 */
#ifndef WEIR_SERVICE_SERVICE_SLOTS_H
#define WEIR_SERVICE_SERVICE_SLOTS_H

#include "abi.h"
#include "base/bpf.h"
#include "base/maps.h"

/* service_word is all of a key but its address. */
static INLINE __u64 service_word(const struct service_key *key)
{
	return *(const __u64 *)&key->port;
}

/* service_slot is the slot of a key. Go computes the same (ServiceSlot). */
static INLINE __u32 service_slot(const struct service_key *key)
{
	return (key->vip.hi + key->vip.lo + service_word(key)) * GOLDEN_64 >> SERVICE_SLOT_SHIFT;
}

/* same_service says whether two keys are equal. */
static INLINE bool same_service(const struct service_key *a, const struct service_key *b)
{
	return !((a->vip.hi ^ b->vip.hi) | (a->vip.lo ^ b->vip.lo) | (service_word(a) ^ service_word(b)));
}

/*
 * service_seek is the index of the service with this key, plus one; or 0. It is a global function,
 * which the verifier goes through once.
 */
__noinline __u32 service_seek(const struct service_key *key)
{
	struct service_entry *e;
	struct service_key own;
	struct service *svc;
	__u32 found, index;

	if (!key)
		return 0;
	found = service_slots.entry[service_slot(key)];
	index = found - 1;
	e = bpf_map_lookup_elem(&service_entries, &index);
	if (e && same_service(&e->key, key))
		return found;
	own = *key; /* Linux 6.1 takes no key by a function's argument */
	svc = bpf_map_lookup_elem(&services, &own);
	return svc ? svc->index + 1 : 0;
}

/* service_at is the service with this key, or NULL. */
static INLINE struct service *service_at(const struct service_key *key)
{
	__u32 index = service_seek(key) - 1;
	struct service_entry *e = bpf_map_lookup_elem(&service_entries, &index);

	return e ? &e->service : NULL;
}

#endif
