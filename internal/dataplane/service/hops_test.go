package service

import (
	"net"
	"net/netip"
	"testing"

	"weir/internal/netlnk"
)

// Which reports about a router the servers behind it wait for.
func TestConcerns(t *testing.T) {
	router := netip.MustParseAddr("192.0.2.1")
	mac := [6]byte{2, 0, 0, 0, 0, 1}
	known := netlnk.NextHop{Index: 2, Gateway: router, Dst: net.HardwareAddr(mac[:]), Valid: true}
	asked := netlnk.NextHop{Index: 2, Gateway: router}
	silent := netlnk.NextHop{Index: 2, Gateway: router, Unreachable: true}
	answers := netlnk.NeighbourReport{Addr: router, MAC: mac, Usable: true}
	moved := netlnk.NeighbourReport{Addr: router, MAC: [6]byte{2, 0, 0, 0, 0, 2}, Usable: true}
	failed := netlnk.NeighbourReport{Addr: router, Failed: true}
	stranger := netlnk.NeighbourReport{Addr: netip.MustParseAddr("192.0.2.2"), Failed: true}
	forgotten := netlnk.NeighbourReport{Addr: router}
	for _, tt := range []struct {
		name   string
		hops   []netlnk.NextHop // of servers
		report netlnk.NeighbourReport
		want   bool
	}{
		{"it answers as before", []netlnk.NextHop{known}, answers, false},
		{"it has another address", []netlnk.NextHop{known}, moved, true},
		{"it answers at last", []netlnk.NextHop{asked}, answers, true},
		{"it answers again", []netlnk.NextHop{silent}, answers, true},
		{"the kernel has forgotten it", []netlnk.NextHop{known}, forgotten, false},
		{"it does not answer any more", []netlnk.NextHop{known}, failed, true},
		{"it does not answer", []netlnk.NextHop{asked}, failed, true},
		{"it still does not answer", []netlnk.NextHop{silent}, failed, false},
		{"it still does not answer, and a server has come", []netlnk.NextHop{silent, asked, silent}, failed, true},
		{"another one does not answer", []netlnk.NextHop{known}, stranger, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Registry{servers: map[serverKey]*server{}}
			for i, hop := range tt.hops {
				at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), 80)
				r.servers[serverKey{addr: at}] = &server{present: true, hop: hop}
			}
			if got := r.Concerns(2, tt.report); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
