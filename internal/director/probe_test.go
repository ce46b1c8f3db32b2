package director

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"weir/internal/cluster"
)

// A standby that hears no master asks for its VIPs before it takes over, and waits for
// nothing: an answer is told as soon as it is master. It asks for none that a master has,
// and of that one's answer nothing follows.
func TestVIPsAreProbedBeforeTheyAreTaken(t *testing.T) {
	vip, other := netip.MustParsePrefix(theVIP).Addr(), net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	for _, tt := range []struct {
		name      string
		answered  bool // by a machine that has the VIP
		heard     bool // a master's advertisements, until it falls silent
		released  bool // it says that it leaves
		probes    int
		conflicts uint64
	}{
		{"nobody has it", false, false, false, 1, 0},
		{"another machine has it", true, false, false, 1, 1},
		{"a master that falls silent", false, true, false, 1, 0},
		{"a master that falls silent and keeps it", true, true, false, 1, 1},
		{"a master that says that it leaves", true, true, true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m := s.segment.Machine("192.0.2.2/24")
				n := s.add(m, cfg(vrrpOn(51, 100, theVIP)))
				var probes []string
				n.Director.machine.Ask = func(device string, addrs []netip.Addr) error {
					probes = append(probes, fmt.Sprint(device, " ", addrs))
					if picture, err := m.Look(); err != nil {
						t.Error(err)
					} else if l, err := picture.Link(device); err != nil {
						t.Error(err)
					} else if tt.answered {
						n.conflicts.heard(l.Index, vip, other)
					}
					return nil
				}
				if tt.heard {
					master := s.add(s.segment.Machine("192.0.2.1/24"), cfg(vrrpOn(51, 150, theVIP))).start()
					time.Sleep(6 * time.Second)
					master.want(cluster.Master, theVIP)
					n.start()
					time.Sleep(20 * time.Second)
					n.want(cluster.Backup, "")
					if len(probes) > 0 {
						t.Errorf("asked %v while a master is heard", probes)
					}
					if tt.released {
						master.stop()
					} else {
						s.segment.Cut(master.machine, true)
						defer master.stop()
					}
				} else {
					n.start()
				}
				defer n.stop()
				began := time.Now()
				for n.instance().State != cluster.Master && time.Since(began) < 10*time.Second {
					time.Sleep(10 * time.Millisecond)
				}
				if took := time.Since(began); took > 3700*time.Millisecond {
					t.Errorf("the take-over has taken %s", took)
				}
				if len(probes) != tt.probes {
					t.Errorf("asked %v, want %d times", probes, tt.probes)
				}
				time.Sleep(1100 * time.Millisecond) // the loop's next look; before it asks as a master
				n.want(cluster.Master, theVIP)
				if got := n.Drift()[driftConflict].Found; got != tt.conflicts || len(n.instance().Conflicts) != int(tt.conflicts) {
					t.Errorf("%d conflicts, %+v, want %d", got, n.instance().Conflicts, tt.conflicts)
				}
			})
		})
	}
}
