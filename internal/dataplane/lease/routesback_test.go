package lease

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

func machine(n int) (netip.Addr, net.HardwareAddr) {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), net.HardwareAddr{2, 0, 0, 0, 0, byte(n)}
}

func word(n int) uint64 {
	_, mac := machine(n)
	return abi.MACWord(mac)
}

func other(n int) lvs.Director {
	addr, mac := machine(n)
	return lvs.Director{MAC: mac, Addr: addr}
}

func neighbourOf(n, mac int) netlnk.Neighbour {
	addr, _ := machine(n)
	_, is := machine(mac)
	return netlnk.Neighbour{Addr: addr, Index: 2, MAC: is}
}

func via(to string, routers ...int) netlnk.Route {
	r := netlnk.Route{To: netip.MustParsePrefix(to)}
	for _, n := range routers {
		addr, _ := machine(n)
		r.Gateways = append(r.Gateways, netlnk.Gateway{Addr: addr, Index: 2})
	}
	return r
}

func TestRoutesBack(t *testing.T) {
	const own, shared = uint8(abi.DirectorOwnsMac), uint8(abi.DirectorSharesMac)
	for _, tt := range []struct {
		name  string
		known map[uint64]uint8
		surroundings
		macs map[uint64]uint8
		back map[string]uint64
	}{
		{
			name: "it is not known to the kernel",
			macs: map[uint64]uint8{word(7): own}, back: map[string]uint64{"192.0.2.7/32": word(7)},
		},
		{
			name: "it was found to share its address, and is not known any more", known: map[uint64]uint8{word(7): shared},
			macs: map[uint64]uint8{word(7): shared}, back: map[string]uint64{"192.0.2.7/32": word(7)},
		},
		{
			name: "its neighbours find it by another address", surroundings: surroundings{neighbours: []netlnk.Neighbour{neighbourOf(7, 9)}},
			macs: map[uint64]uint8{word(7): shared, word(9): own}, back: map[string]uint64{"192.0.2.7/32": word(9)},
		},
		{
			name: "it routes", surroundings: surroundings{
				neighbours: []netlnk.Neighbour{neighbourOf(7, 7), neighbourOf(8, 7), neighbourOf(9, 9)},
				routes: []netlnk.Route{
					via("0.0.0.0/0", 7), via("10.0.0.0/8", 9), via("10.1.0.0/16", 8), via("192.0.2.0/24"), via("172.16.0.0/12", 9, 7), via("::/0", 9),
				},
			},
			macs: map[uint64]uint8{word(7): own},
			back: map[string]uint64{
				"192.0.2.7/32": word(7), "192.0.2.8/32": word(7), "0.0.0.0/0": word(7), "10.0.0.0/8": 0, "10.1.0.0/16": word(7),
				"192.0.2.0/24": 0, "172.16.0.0/12": word(7),
			},
		},
		{
			name: "a route by it, which the kernel has not found yet", surroundings: surroundings{routes: []netlnk.Route{via("10.0.0.0/8", 7), via("10.2.0.0/16", 9)}},
			macs: map[uint64]uint8{word(7): own}, back: map[string]uint64{"192.0.2.7/32": word(7), "10.0.0.0/8": word(7), "10.2.0.0/16": 0},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			directors := []lvs.Director{other(7)}
			macs := tt.surroundings.macs(directors, tt.known)
			if diff := cmp.Diff(tt.macs, macs); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
			back := map[string]uint64{}
			for p, mac := range tt.surroundings.back(directors, macs) {
				back[p.String()] = mac
			}
			if diff := cmp.Diff(tt.back, back); diff != "" {
				t.Errorf("routes (-want +got):\n%s", diff)
			}
		})
	}
}

// A route of IPv6 for everything is none of IPv4, which the table has inside of it.
func TestRouteOfIPv6IsNoneOfIPv4(t *testing.T) {
	s := surroundings{neighbours: []netlnk.Neighbour{neighbourOf(7, 7)}, routes: []netlnk.Route{via("::/0", 7)}}
	directors := []lvs.Director{other(7)}
	back := s.back(directors, s.macs(directors, nil))
	if mac, there := back[all4]; !there || mac != 0 {
		t.Errorf("0.0.0.0/0 leads to %x, %v; want 0", mac, there)
	}
}

// Directors that route for each other, in any way in which packets reach the client, are
// in no loop in which each takes what the one before has forwarded for a client's.
func TestNoLoopOfDirectors(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		n := 2 + random.IntN(5)
		takes := make([]map[int]bool, n+1) // takes[y][x]: y takes a packet of x for a client's
		for y := 1; y <= n; y++ {
			router := random.IntN(y) // a machine nearer to the client: 0 is no director
			s := surroundings{routes: []netlnk.Route{via("198.51.100.0/24", router)}}
			var directors []lvs.Director
			for x := 0; x <= n; x++ {
				s.neighbours = append(s.neighbours, neighbourOf(x, x))
				if x != 0 && x != y {
					directors = append(directors, other(x))
				}
			}
			macs := s.macs(directors, nil)
			by := s.back(directors, macs)[netip.MustParsePrefix("198.51.100.0/24")]
			takes[y] = map[int]bool{}
			for x := 1; x <= n; x++ {
				takes[y][x] = x != y && by == word(x)
			}
		}
		var loops func(at int, seen map[int]bool) bool
		loops = func(at int, seen map[int]bool) bool {
			if seen[at] {
				return true
			}
			seen[at] = true
			defer delete(seen, at)
			for y := 1; y <= n; y++ {
				if takes[y][at] && loops(y, seen) {
					return true
				}
			}
			return false
		}
		for x := 1; x <= n; x++ {
			if loops(x, map[int]bool{}) {
				t.Fatal(fmt.Sprint("a loop: ", takes))
			}
		}
	}
}
