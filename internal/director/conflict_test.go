package director

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// An address that this machine has and another one claims is told once and counted; what
// others claim of addresses that are not here is nobody's business.
func TestConflicts(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 100, theVIP))).start()
		defer n.stop()
		picture, err := m.Look()
		if err != nil {
			t.Fatal(err)
		}
		l, err := picture.Link("eth0")
		if err != nil {
			t.Fatal(err)
		}
		vip := netip.MustParsePrefix(theVIP).Addr()
		other := net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
		claims := func(device int, a netip.Addr, mac net.HardwareAddr) uint64 {
			n.conflicts.heard(device, a, mac)
			time.Sleep(2 * time.Second)
			return n.Drift()[driftConflict].Found
		}
		if got := claims(l.Index, vip, other); got != 0 {
			t.Errorf("a standby's VIP is the master's: %d conflicts", got)
		}
		time.Sleep(4*time.Second + conflictFor)
		for _, tt := range []struct {
			name   string
			device int
			addr   netip.Addr
			mac    net.HardwareAddr
			want   uint64
		}{
			{"its own announcement", l.Index, vip, l.MAC, 0},
			{"another address", l.Index, netip.MustParseAddr("192.0.2.77"), other, 0},
			{"on another device", l.Index + 1, vip, other, 0},
			{"a master's VIP", l.Index, vip, other, 1},
			{"again", l.Index, vip, other, 1},
			{"the address that it speaks from", l.Index, netip.MustParseAddr("192.0.2.1"), other, 2},
		} {
			if got := claims(tt.device, tt.addr, tt.mac); got != tt.want {
				t.Errorf("%s: %d conflicts so far, want %d", tt.name, got, tt.want)
			}
		}
		if n.logged("drift cannot be repaired") != 2 {
			t.Errorf("told %d times, want once for each", n.logged("drift cannot be repaired"))
		}
		time.Sleep(2 * conflictFor)
		if n.logged("drift is gone") != 2 {
			t.Error("it is not told that they are over")
		}
	})
}

// A master asks from time to time whether somebody else has its VIP; a standby does not.
func TestMasterAsksForItsVIPs(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		asked := make(chan string, 100)
		run := func(addr string, priority uint8) *node {
			n := s.add(s.segment.Machine(addr), cfg(vrrpOn(51, priority, theVIP)))
			n.Director.machine.Ask = func(device string, addrs []netip.Addr) error {
				asked <- fmt.Sprint(addr, " ", device, " ", addrs)
				return nil
			}
			return n.start()
		}
		master, standby := run("192.0.2.1/24", 100), run("192.0.2.2/24", 90)
		defer master.stop()
		defer standby.stop()
		time.Sleep(2 * time.Minute)
		if n := len(asked); n < 3 || n > 4 {
			t.Errorf("asked %d times in two minutes", n)
		}
		for len(asked) > 0 {
			if got := <-asked; got != "192.0.2.1/24 eth0 [192.0.2.100]" {
				t.Errorf("asked: %s", got)
			}
		}
	})
}
