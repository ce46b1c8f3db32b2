package sched

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
)

// mhSlots is the size of the kernel's table for mh: the prime that its default
// configuration chooses (CONFIG_IP_VS_MH_TAB_INDEX 12, net/netfilter/ipvs/Kconfig).
// mhBits is how many bits of the largest weight count with that size.
const (
	mhSlots = 4093
	mhBits  = 6
)

// The kernel's two hashes are one function with two fixed keys, each used for
// both halves (generate_hash_secret, net/netfilter/ipvs/ip_vs_mh.c).
const (
	mhKeyOfPlace uint64 = 2654435761
	mhKeyOfSkip  uint64 = 2654446892
)

// preference is the order in which a server asks for slots: from place on, in steps
// of skip. At each of its turns it gets many slots.
type preference struct {
	server            Server
	place, skip, many int
}

// maglev is mh. It fills the table by turns: each server takes the next slot of its
// preference that is still free, until all are taken (ip_vs_mh_populate,
// net/netfilter/ipvs/ip_vs_mh.c). The preferences follow from addresses and ports,
// so that few slots of the other servers change when one comes or goes. More than
// mhSlots servers are an error.
func maglev(e edit) (*Layout, error) {
	if len(e.list) > mhSlots {
		return nil, fmt.Errorf("mh: %d servers, at most %d can be laid out", len(e.list), mhSlots)
	}
	l := &Layout{}
	turns := preferences(e.list)
	if len(turns) == 0 {
		return l, nil
	}
	l.Slots = make([]uint32, mhSlots)
	taken := make([]bool, mhSlots)
	for left := mhSlots; ; {
		for i := range turns {
			p := &turns[i]
			for range p.many {
				for taken[p.place] {
					p.place = (p.place + p.skip) % mhSlots
				}
				taken[p.place], l.Slots[p.place] = true, p.server.Index
				if left--; left == 0 {
					return l, nil
				}
			}
		}
	}
}

// preferences are those of the servers that have a last weight. Weights are divided
// by their common divisor, and then halved until the largest has mhBits bits; each
// server keeps at least one slot a turn (ip_vs_mh_shift_weight).
func preferences(list []Server) (all []preference) {
	step, highest := 0, 0
	for _, s := range list {
		step, highest = gcd(step, s.lastWeight), max(highest, s.lastWeight)
	}
	if step == 0 {
		return nil
	}
	shift := max(bits.Len(uint(highest/step))-mhBits, 0)
	for _, s := range list {
		if s.lastWeight == 0 {
			continue
		}
		v := mhValue(s.Addr.Addr(), s.Addr.Port())
		all = append(all, preference{
			server: s,
			place:  int(hsiphash(v, mhKeyOfPlace)) % mhSlots,
			skip:   int(hsiphash(v, mhKeyOfSkip))%(mhSlots-1) + 1,
			many:   max(s.lastWeight/step>>shift, 1),
		})
	}
	return all
}

// PickMaglev is the plain model of mh's choice, held to what the real kernel did:
// the server of the client's slot, or, with fallback, of the next slot in a sequence
// of hashes whose server is usable (ip_vs_mh_get_fallback). The client's port is 0
// where only the address counts. ok is false where the client is refused.
func PickMaglev(l *Layout, client netip.AddrPort, fallback bool, usable func(server uint32) bool) (server uint32, ok bool) {
	if len(l.Slots) == 0 {
		return 0, false
	}
	v := mhValue(client.Addr(), client.Port())
	first := hsiphash(v, mhKeyOfPlace) % mhSlots
	if server = l.Slots[first]; usable(server) || !fallback {
		return server, usable(server)
	}
	for i := range uint32(mhSlots) {
		offset := (i + first) % mhSlots
		if server = l.Slots[hsiphash(v+offset, mhKeyOfPlace)%mhSlots]; usable(server) {
			return server, true
		}
	}
	return 0, false
}

// mhValue is the number that is hashed: the address, IPv6 folded into 32 bits by
// exclusive or, plus the port, both in host byte order (ip_vs_mh_hashkey).
func mhValue(a netip.Addr, port uint16) uint32 {
	fold := uint32(0)
	b := a.AsSlice()
	for i := 0; i < len(b); i += 4 {
		fold ^= binary.BigEndian.Uint32(b[i:])
	}
	return fold + uint32(port)
}

// hsiphash is the kernel's hash of one 32-bit word on 64-bit machines: SipHash
// with one round a word and three at the end, cut to 32 bits (hsiphash_1u32,
// lib/siphash.c). Both halves of the 128-bit key are key.
func hsiphash(v uint32, key uint64) uint32 {
	v0, v1 := 0x736f6d6570736575^key, 0x646f72616e646f6d^key
	v2, v3 := 0x6c7967656e657261^key, 0x7465646279746573^key
	round := func() {
		v0 += v1
		v2 += v3
		v1, v3 = bits.RotateLeft64(v1, 13)^v0, bits.RotateLeft64(v3, 16)^v2
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v1
		v0 += v3
		v1, v3 = bits.RotateLeft64(v1, 17)^v2, bits.RotateLeft64(v3, 21)^v0
		v2 = bits.RotateLeft64(v2, 32)
	}
	word := uint64(4)<<56 | uint64(v) // the length in bytes stands on top
	v3 ^= word
	round()
	v0 ^= word
	v2 ^= 0xff
	round()
	round()
	round()
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}
