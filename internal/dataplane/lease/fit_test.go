package lease

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// leads is where the table sends an address: by its longest prefix.
func leads(all map[netip.Prefix]uint64, a netip.Addr) uint64 {
	best, mac := -1, uint64(0)
	for p, by := range all {
		if p.Contains(a) && p.Bits() > best {
			best, mac = p.Bits(), by
		}
	}
	if best < 0 && a.Is4() {
		return all[all6]
	}
	return mac
}

// Networks that fit are left as they are; what is left of others leads every address where all
// did, but for those of the directors that have too many.
func TestFit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		all := map[netip.Prefix]uint64{}
		for range 1 + random.IntN(60) {
			bits := random.IntN(9)
			p, _ := netip.AddrFrom4([4]byte{byte(random.Uint32()), 0, 0, 0}).Prefix(bits)
			all[p] = uint64(random.IntN(4)) // 0 is no director
		}
		if random.IntN(2) == 0 {
			all[all6] = 1
		}
		most, was := 3+random.IntN(40), maps.Clone(all)
		crowded := map[uint64]bool{}
		for _, mac := range fit(all, most) {
			crowded[mac] = true
		}
		if len(was) <= most && (len(crowded) > 0 || !maps.Equal(was, all)) {
			t.Fatalf("%v fits, and became %v", was, all)
		}
		if len(all) > most || crowded[0] {
			t.Fatalf("%d networks are left, want %d at most; crowded: %v", len(all), most, crowded)
		}
		for first := range 256 {
			a := netip.AddrFrom4([4]byte{byte(first), 1, 2, 3})
			want, got := leads(was, a), leads(all, a)
			if got != want && !crowded[want] {
				t.Fatalf("%s leads by %d, want %d, with %v of %v", a, got, want, all, was)
			}
		}
	}
}

// A director with more routes than there is room for is taken for one whose Ethernet address
// clients have as well; the other directors' routes stay.
func TestTooManyRoutes(t *testing.T) {
	all := map[netip.Prefix]uint64{netip.MustParsePrefix("198.51.100.0/24"): word(8)}
	for i := range 1000 {
		all[netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", i/250, 2*(i%125)))] = word(7)
	}
	crowded := fit(all, 100)
	if len(crowded) != 1 || crowded[0] != word(7) || len(all) != 1 || all[netip.MustParsePrefix("198.51.100.0/24")] != word(8) {
		t.Errorf("crowded: %x, left: %v", crowded, all)
	}
}
