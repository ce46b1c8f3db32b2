package director

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/cluster"
)

const theVIP = "192.0.2.100/32"

// Two directors: the one of higher priority becomes master, and hands over when it is
// stopped; when it comes back it takes over again.
func TestHandOver(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		first := s.add(m1, cfg(vrrpOn(51, 150, theVIP))).start()
		second := s.add(m2, cfg(vrrpOn(51, 100, theVIP))).start()
		defer second.stop()
		first.want(cluster.Backup, "")
		time.Sleep(4 * time.Second)
		first.want(cluster.Master, theVIP)
		second.want(cluster.Backup, "")
		if s.segment.Holder(web.Addr) != m1 {
			t.Error("the neighbours do not send to the master")
		}
		if got := m2.Plan().Directors; len(got) != 1 || got[0].MAC.String() != "02:00:00:00:00:01" {
			t.Errorf("the second one knows the directors %v, want the first one", got)
		}
		second.wantLogged("another director instance=VI_51 peer=192.0.2.1 mac=02:00:00:00:00:01", 1)
		first.wantLogged("started virtual_servers=1 vrrp_instances=1", 1)
		// It stays master until the other one has taken over: priority 0, then its
		// skew time of 156/256 s.
		begun := time.Now()
		first.cancel()
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		if vips(t, m1) != theVIP || s.segment.Holder(web.Addr) != m1 {
			t.Error("the first one lets go before the other one takes over")
		}
		if err := <-first.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != 609375*time.Microsecond {
			t.Errorf("the hand-over took %s", took)
		}
		second.want(cluster.Master, theVIP)
		if got := vips(t, m1); got != "" {
			t.Errorf("the first one has %q in the end", got)
		}
		if m1.Open() != 0 {
			t.Error("its transport is open in the end")
		}
		first = s.add(m1, cfg(vrrpOn(51, 150, theVIP))).start()
		defer first.stop()
		time.Sleep(4 * time.Second)
		first.want(cluster.Master, theVIP)
		second.want(cluster.Backup, "")
	})
}

// A master that is cut off is replaced, and its lease has ended by then; when it is
// heard again one of both gives way.
func TestFailover(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		first := s.add(m1, cfg(vrrpOn(51, 150, theVIP))).start()
		defer first.stop()
		second := s.add(m2, cfg(vrrpOn(51, 100, theVIP))).start()
		defer second.stop()
		time.Sleep(5 * time.Second)
		s.segment.Cut(m2, true)
		time.Sleep(5 * time.Second)
		second.want(cluster.Master, theVIP)
		s.segment.Cut(m2, false)
		time.Sleep(2 * time.Second)
		first.want(cluster.Master, theVIP)
		second.want(cluster.Backup, "")
		if s.segment.Holder(web.Addr) != m1 {
			t.Error("the neighbours do not send to the master")
		}
	})
}

// A process takes up what the one before has left: as the master where the lease still
// runs and all VIPs are there; else it takes the VIPs away and begins as a backup.
func TestTakeUp(t *testing.T) {
	in := vrrpOn(51, 100, theVIP, "192.0.2.101/32")
	both := theVIP + " 192.0.2.101/32"
	for _, tt := range []struct {
		name  string
		since time.Duration // the last advertisement of the process before
		vips  []string
		state cluster.State
		want  string
	}{
		{"the lease runs", 2 * time.Second, []string{theVIP, "192.0.2.101/32"}, cluster.Master, both},
		{"the lease has run out", 4 * time.Second, []string{theVIP, "192.0.2.101/32"}, cluster.Backup, ""},
		{"a VIP is missing", time.Second, []string{theVIP}, cluster.Backup, ""},
		{"nothing is left", time.Hour, nil, cluster.Backup, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m := s.segment.Machine("192.0.2.1/24")
				before := s.add(m, cfg(in))
				plan := before.plan()
				plan.Services[0].RealServers = plan.Services[0].RealServers[:1]
				if err := errors.Join(m.Set(plan), m.Renew(plan.Instances[0].ID, time.Now(), 3*time.Second)); err != nil {
					t.Fatal(err)
				}
				for _, v := range tt.vips {
					m.Give("eth0", netip.MustParsePrefix(v))
				}
				time.Sleep(tt.since)
				n := s.add(m, cfg(in)).start()
				defer n.stop()
				synctest.Wait()
				if got := vips(t, m); got != tt.want {
					t.Errorf("it has %q, want %q", got, tt.want)
				}
				resumed := 0
				if tt.state == cluster.Master {
					resumed = 1
					n.want(cluster.Master, tt.want)
				}
				n.wantLogged("lease still runs, going on as master instance=VI_51", resumed)
				// The server that the process before had taken out has to pass a check.
				if got := serving(m); got != "192.0.2.11" {
					t.Errorf("in are %q, want the one that was in", got)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := serving(m); got != "192.0.2.11 192.0.2.12" {
					t.Errorf("in are %q after the first checks", got)
				}
			})
		})
	}
}

// A real server that fails its checks is out, and in again when it passes one.
func TestServerGoesAndComes(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg()).start()
		defer n.stop()
		time.Sleep(2 * time.Second)
		s.down.set("192.0.2.11:80", true)
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if got := serving(m); got != "192.0.2.12" {
			t.Errorf("in are %q", got)
		}
		n.wantLogged("real server virtual_server=TCP 192.0.2.100:80 real_server=192.0.2.11:80 state=down reason=connection refused tries=2", 1)
		m.Refuse("set", 1)
		s.down.set("192.0.2.11:80", false)
		time.Sleep(8 * time.Second)
		n.wantLogged("real server virtual_server=TCP 192.0.2.100:80 real_server=192.0.2.11:80 state=up", 1)
		n.wantLogged("set the data plane error=refused by the test", 1)
	})
}

// While its interface cannot be spoken on, an instance is in fault; one that is made
// anew is followed.
func TestInterfaces(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
		defer n.stop()
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP)
		m.SetUp("eth0", false)
		time.Sleep(repairSoon)
		n.want(cluster.Fault, "")
		m.SetUp("eth0", true)
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
		m.Unplug("eth0")
		synctest.Wait()
		m.Refuse("reopen", 1)
		m.Plug("eth0", 7, "192.0.2.1/24")
		time.Sleep(repairSoon)
		n.want(cluster.Fault, "")
		time.Sleep(6 * time.Second)
		n.want(cluster.Master, theVIP)
		if got := n.Drift()["vrrp_interfaces"]; got.Found != 1 || got.Repaired != 1 {
			t.Errorf("interfaces: %s", got)
		}
	})
}

// An instance whose interface has no address yet waits for one in fault, and follows the
// address when it changes and goes.
func TestAddressesComeAndGo(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Take("eth0", netip.MustParsePrefix("192.0.2.1/24"))
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
		defer n.stop()
		time.Sleep(5 * time.Second)
		n.wantFault("address to send from: device eth0 has no IPv4 address of its own: give it one (ip address add … dev eth0)")
		give := func(a string) { m.Give("eth0", netip.MustParsePrefix(a)) }
		give("192.0.2.1/24")
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, "192.0.2.100/32")
		n.wantLogged("vrrp adverts come from another address instance=VI_51 interface=eth0 to=192.0.2.1", 1)
		// It changes at once: the master goes on.
		give("192.0.2.7/24")
		m.Take("eth0", netip.MustParsePrefix("192.0.2.1/24"))
		time.Sleep(2 * time.Second)
		n.want(cluster.Master, "192.0.2.7/24") // eth0 has it behind the VIP
		n.wantLogged("vrrp adverts come from another address instance=VI_51 interface=eth0 from=192.0.2.1 to=192.0.2.7", 1)
		// It goes, and comes back as it was.
		m.Take("eth0", netip.MustParsePrefix("192.0.2.7/24"))
		time.Sleep(repairSoon)
		n.wantFault("address to send from: device eth0 has no IPv4 address of its own: give it one (ip address add … dev eth0)")
		give("192.0.2.7/24")
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, "192.0.2.100/32")
		n.wantLogged("vrrp adverts come from another address", 2)
		n.wantLogged("vrrp state changed instance=VI_51 from=MASTER to=FAULT", 1)
		if m.Open() != 1 {
			t.Errorf("%d transports are open", m.Open())
		}
	})
}

// wantFault wants the only instance in fault for this reason, without VIPs and lease.
func (n *node) wantFault(reason string) {
	n.t.Helper()
	synctest.Wait()
	s, err := n.Snapshot(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	in := s.Instances[0]
	leased, _ := n.machine.Leased(in.ID)
	have := slices.ContainsFunc(n.machine.Prefixes("eth0"), func(p netip.Prefix) bool { return p.String() == theVIP })
	if in.State != cluster.Fault || in.Fault != reason || leased || have {
		n.t.Errorf("it is %s for %q, leased %t, has the VIP: %t; want fault for %q", in.State, in.Fault, leased, have, reason)
	}
}

// After a reload that puts another instance first, each follows its own interface.
func TestSurroundingsAfterAReload(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Plug("eth1", 3, "198.51.100.1/24")
		first, second := vrrpOn(51, 150, theVIP), vrrpOn(52, 150, "198.51.100.100/32")
		second.Interface, second.VIPs[0].Device = "eth1", "eth1"
		n := s.add(m, cfg(first)).start()
		defer n.stop()
		if _, err := n.Reload(cfg(second, first)); err != nil {
			t.Fatal(err)
		}
		m.SetUp("eth1", false)
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP) // the first one that there was
		state, err := n.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := state.Instances; got[0].Name != "VI_52" || got[0].Fault != "interface eth1 is down" || got[1].Fault != "" || got[1].Source.String() != "192.0.2.1" {
			t.Errorf("the instances stand %+v", got)
		}
	})
}

// A master announces its VIPs again where their device has got another Ethernet address.
func TestAnotherEthernetAddress(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
		defer n.stop()
		time.Sleep(20 * time.Second)
		m.Calls()
		m.SetMAC("eth0", net.HardwareAddr{2, 0, 0, 0, 0, 9})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := m.Calls(); len(got) != 1 || got[0] != "announce 192.0.2.100" {
			t.Errorf("done %q, want an announcement", got)
		}
	})
}

// A device that has VIPs of the instance and loses its carrier is a fault of the instance,
// unless the address says no_track.
func TestDeviceOfAVIPGoesDown(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Plug("eth1", 3, "198.51.100.1/24")
		m.Plug("eth2", 4, "203.0.113.1/24")
		in := vrrpOn(51, 150, theVIP, "198.51.100.100/32", "203.0.113.100/32")
		in.VIPs[1].Device, in.VIPs[2].Device, in.VIPs[2].NoTrack = "eth1", "eth2", true
		n := s.add(m, cfg(in)).start()
		defer n.stop()
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
		m.SetUp("eth2", false)
		time.Sleep(repairSoon)
		n.want(cluster.Master, theVIP)
		m.SetUp("eth1", false)
		time.Sleep(repairSoon)
		n.wantFault("interface eth1 of VIP 198.51.100.100/32 is down")
		if got := len(m.Prefixes("eth1")) + len(m.Prefixes("eth2")); got != 2 {
			t.Errorf("%d addresses on the other devices, want their own ones", got)
		}
		m.Unplug("eth1")
		time.Sleep(repairSoon)
		n.wantFault(`VIP 198.51.100.100/32: device "eth1": no such device`)
		m.Plug("eth1", 9, "198.51.100.1/24")
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
	})
}

// What goes wrong while a state changes is told, and does not keep the state from it.
func TestErrorsOfStates(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
		for call, n := range map[string]int{"add": 1, "speaker": 1, "renew": 1} {
			m.Refuse(call, n)
		}
		time.Sleep(6 * time.Second)
		n.want(cluster.Master, theVIP) // the repair has added it
		n.wantLogged("add VIP instance=VI_51 vip=192.0.2.100/32 device=eth0 error=refused by the test", 1)
		n.wantLogged("announce VIP instance=VI_51 vip=192.0.2.100 error=refused by the test", 1)
		n.wantLogged("renew the lease instance=VI_51 error=refused by the test", 1)
		m.Refuse("release", 1)
		m.Refuse("remove", 1)
		n.stop()
		n.wantLogged("release the lease instance=VI_51 error=refused by the test", 1)
		n.wantLogged("remove VIPs instance=VI_51 error=remove 192.0.2.100/32 from eth0: refused by the test", 1)
	})
}

// A director that cannot begin says why, and leaves nothing open.
func TestRunFails(t *testing.T) {
	for _, tt := range []struct {
		name, call, want string
	}{
		{"a transport", "open", "vrrp_instance VI_51: refused by the test"},
		{"the data plane", "set", "set up the data plane: refused by the test"},
		{"the kernel's reports", "watch", "watch the devices: refused by the test"},
		{"the leases", "leased", "refused by the test"},
		{"old VIPs", "remove", "remove 192.0.2.100/32 from eth0: refused by the test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m := s.segment.Machine("192.0.2.1/24")
				m.Give("eth0", netip.MustParsePrefix(theVIP))
				m.Refuse(tt.call, 1)
				n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
				defer n.cancel()
				if err := <-n.ended; err == nil || err.Error() != tt.want {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if m.Open() != 0 {
					t.Error("a transport is open")
				}
			})
		})
	}
}

// A device that goes while the data plane is set up does not keep the director from
// starting.
func TestDeviceGoesDuringTheStart(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Plug("eth1", 3, "198.51.100.1/24")
		in := vrrpOn(51, 150, theVIP, "198.51.100.100/32")
		in.VIPs[1].Device = "eth1"
		m.Refuse("set", 1)
		m.OnSet(func() { m.Unplug("eth1") })
		n := s.add(m, cfg(in)).start()
		defer n.stop()
		time.Sleep(repairSoon)
		n.wantFault(`VIP 198.51.100.100/32: device "eth1": no such device`)
		if got := m.Plan().Devices; len(got) != 1 || got[0].Name != "eth0" {
			t.Errorf("devices %v, want eth0", got)
		}
	})
}

// An instance on an interface that is not there cannot begin.
func TestRunNeedsInterfaces(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		in := vrrpOn(51, 150, theVIP)
		in.Interface = "eth9"
		n := s.add(m, cfg(in)).start()
		if err := <-n.ended; err == nil || !strings.Contains(err.Error(), "no such device") {
			t.Errorf("without the interface: %v", err)
		}
		in.SourceIP = netip.MustParseAddr("192.0.2.1")
		n = s.add(m, cfg(vrrpOn(50, 1), in)).start()
		if err := <-n.ended; err == nil || !strings.Contains(err.Error(), "no such device") || m.Open() != 0 {
			t.Errorf("without the interface: %v, %d transports are open", err, m.Open())
		}
	})
}

// A loop that is busy costs no lease: another director is learned from a later
// advertisement, when there is room.
func TestBusyLoop(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		first := s.add(m1, cfg(vrrpOn(51, 150, theVIP))).start()
		defer first.stop()
		time.Sleep(5 * time.Second)
		free := make(chan struct{})
		first.post(func() *cluster.Event { <-free; return nil })
		synctest.Wait()
		for range cap(first.events) {
			first.post(func() *cluster.Event { return nil })
		}
		second := s.add(m2, cfg(vrrpOn(51, 200, "192.0.2.100/32"))).start()
		defer second.stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if vips(t, m1) != "" || vips(t, m2) != theVIP {
			t.Errorf("the first one has %q, the second one %q: the mastership did not pass", vips(t, m1), vips(t, m2))
		}
		close(free)
		time.Sleep(2 * time.Second)
		first.want(cluster.Backup, "")
		if got := m1.Plan().Directors; len(got) != 1 {
			t.Errorf("the first one knows the directors %v, want the second one", got)
		}
	})
}

// interface_up_down_delays: a change of an interface counts once it has lasted for its delay.
func TestHeldBackChanges(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		c := cfg(vrrpOn(51, 150, theVIP))
		c.Machine.UpDownDelays = []conf.InterfaceDelay{{Interface: "eth0", Down: 1500 * time.Millisecond, Up: 2500 * time.Millisecond}}
		n := s.add(m, c).start()
		defer n.stop()
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP)

		m.SetUp("eth0", false)
		time.Sleep(1400 * time.Millisecond)
		n.want(cluster.Master, theVIP)
		m.SetUp("eth0", true)
		time.Sleep(2 * time.Second)
		n.want(cluster.Master, theVIP)
		n.wantLogged("change of an interface undone before its delay was over", 1)

		m.SetUp("eth0", false)
		time.Sleep(1500*time.Millisecond + repairSoon)
		n.want(cluster.Fault, "")
		m.SetUp("eth0", true)
		time.Sleep(2400 * time.Millisecond)
		n.want(cluster.Fault, "")
		time.Sleep(100*time.Millisecond + repairSoon)
		n.want(cluster.Backup, "")
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
		n.wantLogged("change of an interface is held back", 3)

		// A reload's delays count for a change that is held back already.
		m.SetUp("eth0", false)
		time.Sleep(time.Second)
		n.want(cluster.Master, theVIP)
		if _, err := n.Reload(cfg(vrrpOn(51, 150, theVIP))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		n.want(cluster.Fault, "")

		// A device that is deleted, and one that comes, are seen at once.
		if _, err := n.Reload(c); err != nil {
			t.Fatal(err)
		}
		m.SetUp("eth0", true)
		time.Sleep(repairSoon)
		n.want(cluster.Backup, "") // it has not been up since the delays came
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
		m.Unplug("eth0")
		time.Sleep(repairSoon)
		synctest.Wait()
		if s, err := n.Snapshot(t.Context()); err != nil || s.Instances[0].State != cluster.Fault {
			t.Errorf("without its device it is %s, %v", s.Instances[0].State, err)
		}
		m.Plug("eth0", 9, "192.0.2.1/24")
		time.Sleep(4 * time.Second)
		n.want(cluster.Master, theVIP)
	})
}

// A backup that hears nothing because its interface is down must not take over before its delay
// is over.
func TestDelaysAreBounded(t *testing.T) {
	const most = 2*time.Second - time.Second/256
	for _, tt := range []struct {
		adverts        int
		down, up       time.Duration
		isDown, isUp   time.Duration
		otherInterface bool
	}{
		{0, time.Second, 5 * time.Second, time.Second, 5 * time.Second, false},
		{0, 5 * time.Second, time.Second, most, time.Second, false},
		{3, 5 * time.Second, 5 * time.Second, most, most, false},
		{1, time.Second, time.Second, 0, 0, false},
		{1, 5 * time.Second, time.Second, 5 * time.Second, time.Second, true},
	} {
		in := vrrpOn(51, 150, theVIP)
		in.DownTimerAdverts = tt.adverts
		d := conf.InterfaceDelay{Interface: "eth0", Down: tt.down, Up: tt.up}
		if tt.otherInterface {
			d.Interface = "eth1"
		}
		c := cfg(in)
		c.Machine.UpDownDelays = []conf.InterfaceDelay{d}
		if got := delaysOf(c)[d.Interface]; got.Down != tt.isDown || got.Up != tt.isUp {
			t.Errorf("%+v: got %v and %v", tt, got.Down, got.Up)
		}
	}
}
