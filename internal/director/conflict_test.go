package director

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/cluster"
)

// An address that this machine has and another one claims is told once and counted; what
// others claim of addresses that are not here is nobody's business.
func TestConflicts(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Plug("eth9", 9, "198.51.100.9/24")
		m.SetMAC("eth9", net.HardwareAddr{2, 0, 0, 0, 0, 9})
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
		second, err := picture.Link("eth9")
		if err != nil || len(second.MAC) != 6 {
			t.Fatal(second, err)
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
			{"an answer by another device of its own", l.Index, vip, second.MAC, 0},
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
		if got := n.instance(); len(got.Conflicts) != 1 || got.Conflicts[0].VIP != vip || got.Conflicts[0].MAC != other.String() {
			t.Errorf("the snapshot has %+v", got.Conflicts)
		}
		announced := n.instance().GratuitousARPs
		claims(l.Index, vip, other)
		time.Sleep(announceEvery)
		if got := n.instance().GratuitousARPs; got != announced+1 {
			t.Errorf("%d announcements after another claim, want %d", got, announced+1)
		}
		time.Sleep(2 * conflictFor)
		if got := n.instance(); got.GratuitousARPs != announced+2 || len(got.Conflicts) != 0 {
			t.Errorf("%d announcements when it is over, want %d; conflicts %+v", got.GratuitousARPs, announced+2, got.Conflicts)
		}
		if n.logged("drift is gone") != 2 {
			t.Error("it is not told that they are over")
		}
	})
}

// instance is the first one of the snapshot.
func (n *node) instance() cluster.Instance {
	n.t.Helper()
	synctest.Wait()
	s, err := n.Snapshot(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return s.Instances[0]
}

// Two masters that have not heard each other: when they do, the lower one leaves, the other
// tells of it while it hears it and when it is over, and announces its VIPs at both times.
func TestTwoMasters(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		higher := vrrpOn(51, 150, theVIP)
		higher.GARPLowerRepeat = 1
		first, second := s.add(m1, cfg(higher)).start(), s.add(m2, cfg(vrrpOn(51, 100, theVIP))).start()
		defer first.stop()
		defer second.stop()
		time.Sleep(10 * time.Second)
		s.segment.Cut(m2, true)
		time.Sleep(10*time.Second + 300*time.Millisecond)
		first.want(cluster.Master, theVIP)
		second.want(cluster.Master, theVIP)
		announced := first.instance().GratuitousARPs
		for sent := first.instance().Sent; first.instance().Sent == sent; {
			time.Sleep(time.Millisecond)
		}
		s.segment.Cut(m2, false) // the next advertisement is the other one's
		time.Sleep(2 * time.Second)
		first.want(cluster.Master, theVIP)
		second.want(cluster.Backup, "")
		if other := first.instance().Other; other == nil || other.Addr != netip.MustParseAddr("192.0.2.2") || other.Priority != 100 {
			t.Errorf("the snapshot has the other master %+v", other)
		}
		time.Sleep(10 * time.Second)
		first.wantLogged("vrrp advert of a lower master instance=VI_51 source=192.0.2.2 priority=100 times=1", 1)
		first.wantLogged("vrrp lower master is heard no more instance=VI_51 source=192.0.2.2 times=1", 1)
		now := first.instance()
		if now.Other != nil || now.GratuitousARPs < announced+2 {
			t.Errorf("when it is over: other master %+v, %d announcements, want %d", now.Other, now.GratuitousARPs, announced+2)
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
		time.Sleep(5 * time.Second)
		for len(asked) > 0 { // before there is a master both ask once
			<-asked
		}
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
