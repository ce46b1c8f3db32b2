package director

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/lvs"
)

// told notes what it is told to be a real server for. Something may be wrong of it each
// time that it is looked at.
type told struct {
	mu      sync.Mutex
	calls   []string
	drifted []string
	err     error
	looks   int // how often Repair was called
}

// fail has it fail from now on, or not.
func (r *told) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *told) note(call string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
	return r.err
}

func (r *told) Start(vips []netip.Addr, devices ...string) error {
	return r.note(fmt.Sprint("direct ", vips, devices))
}

func (r *told) StartTunnel(vips []netip.Addr, devices ...string) error {
	return r.note(fmt.Sprint("tunnel ", vips, devices))
}

func (r *told) Stop(vips []netip.Addr) error { return r.note(fmt.Sprint("stop ", vips)) }

func (r *told) Repair() ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	return r.drifted, r.err
}

func (r *told) looked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looks
}

// A machine becomes a real server by the methods of the servers that it is, and
// of no other; 127.0.0.1 is every machine's.
func TestServeHere(t *testing.T) {
	for _, tt := range []struct {
		name          string
		local, remote lvs.ForwardMethod
		want, line    string
	}{
		{"direct routing", lvs.DirectRoute, lvs.Tunnel, "direct [192.0.2.100] []", "this machine is a real server vips=[192.0.2.100]"},
		{"tunnel", lvs.Tunnel, lvs.DirectRoute, "tunnel [192.0.2.100] []", "this machine is a real server behind a tunnel vips=[192.0.2.100]"},
		{"NAT needs nothing", lvs.Masquerade, lvs.Tunnel, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				here, there := server("127.0.0.1"), server("192.0.2.11")
				here.Method, there.Method = tt.local, tt.remote
				n := s.add(s.segment.Machine("192.0.2.1/24"), services(virtual(80, here, there)))
				w, err := n.Director.want(n.picture)
				if err != nil {
					t.Fatal(err)
				}
				if err := n.serveHere(w.served); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(n.real.calls, ", "); got != tt.want {
					t.Errorf("told %q, want %q", got, tt.want)
				}
				if tt.line != "" {
					n.wantLogged(tt.line, 1)
				}
				n.real.err = errors.New("no device")
				if err := n.serveHere(w.served); (err == nil) != (tt.want == "") {
					t.Errorf("where it fails: %v", err)
				}
			})
		})
	}
}

// A director does not begin on a machine that cannot be the real server that it is to be.
func TestRunNeedsTheRealServer(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		n := s.add(s.segment.Machine("192.0.2.1/24"), services(virtual(80, server("127.0.0.1"))))
		n.real.err = errors.New("no lo")
		if err := <-n.start().ended; !errors.Is(err, n.real.err) {
			t.Errorf("error %v, want that of the real server's side", err)
		}
	})
}

// A reload tells the real server's side where this machine has addresses from now on;
// one that is taken back, where it had them, and for what it was one.
func TestServeMoreFollowsTheInstances(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		on := func(port uint16, devices ...string) *conf.Config {
			vs := virtual(80, server("127.0.0.1"))
			c := services(vs)
			if port != 80 {
				more := virtual(port, server("127.0.0.1"))
				more.Keys[0].Addr = netip.MustParseAddr("192.0.2.200")
				c.VirtualServers = append(c.VirtualServers, more)
			}
			for i, device := range devices {
				c.VRRPInstances = append(c.VRRPInstances, conf.VRRPInstance{VRID: uint8(1 + i), VIPs: []conf.VIP{{Device: device}}})
			}
			return c
		}
		n := s.add(s.segment.Machine("192.0.2.1/24"), on(80, "eth0"))
		var err error
		if n.inForce, err = n.Director.want(n.picture); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name, want string
			cfg        *conf.Config
		}{
			{"nothing is new", "", on(80, "eth0")},
			{"an instance is added", "direct [192.0.2.100] [eth0 eth1], direct [192.0.2.100] [eth0]", on(80, "eth0", "eth1")},
			{"it moves", "direct [192.0.2.100] [eth2], direct [192.0.2.100] [eth0]", on(80, "eth2")},
			{"another VIP", "direct [192.0.2.100 192.0.2.200] [eth0], stop [192.0.2.200], direct [192.0.2.100] [eth0]", on(81, "eth0")},
		} {
			n.real.calls = nil
			var undo []func() error
			next, _ := n.next(tt.cfg)
			w, err := n.Director.want(next)
			if err != nil {
				t.Fatal(err)
			}
			if err := n.serveMore(w.served, &undo); err != nil {
				t.Fatal(err)
			}
			for _, back := range undo {
				if err := back(); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(n.real.calls, ", "); got != tt.want {
				t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

func TestRepairRealServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		real *told
		want map[string]drift.Count
	}{
		{"all is well", &told{}, map[string]drift.Count{}},
		{"two things", &told{drifted: []string{"lo is down", "arp_ignore of all is 0"}}, map[string]drift.Count{driftRealServer: {Found: 2, Repaired: 2}}},
		{"one that cannot be repaired", &told{drifted: []string{"lo is down"}, err: errors.New("no")}, map[string]drift.Count{driftRealServer: {Found: 1}}},
		{"it cannot be looked at", &told{err: errors.New("no state file")}, map[string]drift.Count{driftCompare: {Found: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				n := s.add(s.segment.Machine("192.0.2.1/24"), cfg())
				n.Director.machine.Real = tt.real
				n.repair()
				if got := n.Drift(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("counted %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// An address that is removed, or appears, is put right at once, not at the next look,
// and announced; reports that come together are one look.
func TestLoopHearsOfAddresses(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		master := s.add(m1, cfg(vrrpOn(51, 150, theVIP))).start()
		defer master.stop()
		backup := s.add(m2, cfg(vrrpOn(51, 100, theVIP))).start()
		defer backup.stop()
		time.Sleep(5*time.Second + 300*time.Millisecond)
		before := master.real.looked()
		m1.Calls()
		m1.Remove("eth0", netip.MustParsePrefix(theVIP))
		m1.Give("eth0", netip.MustParsePrefix("192.0.2.55/24"))
		m2.Give("eth0", netip.MustParsePrefix("192.0.2.100/24"))
		time.Sleep(repairSoon + time.Millisecond)
		synctest.Wait()
		if got := m1.Calls(); !slices.Equal(got, []string{"remove 192.0.2.100/32", "add 192.0.2.55/24", "add 192.0.2.100/32", "announce 192.0.2.100"}) {
			t.Errorf("done %v", got)
		}
		if looks := master.real.looked() - before; looks != 1 {
			t.Errorf("%d looks, want 1", looks)
		}
		backup.want(cluster.Backup, "")
		if got := fmt.Sprint(master.Drift(), backup.Drift()); got != "map[vip_addresses:1 found, 1 repaired] map[stray_addresses:1 found, 1 repaired]" {
			t.Errorf("drift %s", got)
		}
		// A master that has lost its lease leaves its VIPs alone.
		m1.Release(lvs.InstanceID{Interface: "eth0", VRID: 51})
		m1.Refuse("renew", -1)
		m1.Remove("eth0", netip.MustParsePrefix(theVIP))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := vips(t, m1); got != "192.0.2.55/24" {
			t.Errorf("the master has %q without its lease", got)
		}
		m1.Refuse("renew", 0)
	})
}
