package director

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/lvs"
)

// tell writes changes as a line each.
func tell(c Changes) string {
	var lines []string
	list := func(s []Setting) (text string) {
		for _, one := range s {
			text += fmt.Sprintf(" [%s: %s > %s]", one.Name, one.From, one.To)
		}
		return text
	}
	for _, s := range c.Services {
		lines = append(lines, fmt.Sprintf("%s %s%s", s.Kind, s.Service, list(s.Settings)))
		for _, rs := range s.Servers {
			lines = append(lines, fmt.Sprintf("%s %s%s %d connections, touched %v", rs.Kind, rs.Server, list(rs.Settings), rs.Connections, rs.Touched))
		}
	}
	for _, in := range c.Instances {
		lines = append(lines, fmt.Sprintf("%s instance %s%s %s %s", in.Kind, in.Instance, list(in.Settings), in.State, in.Next))
	}
	if len(c.Settings)+len(c.Restart) > 0 {
		lines = append(lines, fmt.Sprintf("settings%s restart%s", list(c.Settings), list(c.Restart)))
	}
	return strings.Join(lines, "\n")
}

// next is the picture that another configuration makes of this one.
func (p picture) next(cfg *conf.Config) (picture, Changes) {
	c := p.begin(cfg)
	for c.some(turnServers) {
	}
	return c.picture, c.changes
}

// What a reload would change of the weir block.
func TestNext(t *testing.T) {
	block := conf.Weir{
		Tables: conf.Tables{Services: 16}, Devices: []conf.Device{{Name: "eth0", Hook: lvs.HookTC}},
		Marks: []lvs.MarkRule{{Mark: 7}},
	}
	block.Timeouts.Timeouts.UDP = time.Second
	simulate(t, func(t *testing.T, s *site) {
		d := s.add(s.segment.Machine("192.0.2.1/24"), &conf.Config{})
		next, changes := d.next(&conf.Config{Weir: block})
		got := tell(changes)
		for _, want := range []string{"[device:  > eth0]", "[mark:  > 7]", "[timeouts udp: 0s > 1s]", "restart [tables services: 0 > 16]"} {
			if !strings.Contains(got, want) {
				t.Errorf("changes %s, want %s", got, want)
			}
		}
		// The tables are as they were opened.
		if _, more := next.next(&conf.Config{Weir: block}); len(more.Settings) > 0 || len(more.Restart) != 1 {
			t.Errorf("once more: %s", tell(more))
		}
		if changes.Empty() || !(Changes{}).Empty() {
			t.Error("which changes are empty?")
		}
	})
}

// A reload of a master: VIPs, servers and another instance come and go, and it is
// master all the time.
func TestReload(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP, "192.0.2.101/32"), vrrpOn(52, 100, "192.0.2.110/32"))).start()
		defer n.stop()
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP+" 192.0.2.101/32 192.0.2.110/32")
		m.Calls()
		to := cfg(vrrpOn(51, 120, theVIP, "192.0.2.102/32"), vrrpOn(53, 100, "192.0.2.120/32"))
		to.VirtualServers[0].RealServers = []conf.RealServer{server("192.0.2.12", tcp("192.0.2.12:80")), server("192.0.2.13", tcp("192.0.2.13:80"))}
		planned, err := n.Plan(to)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := n.Reload(to)
		if err != nil {
			t.Fatal(err)
		}
		const want = `changed TCP 192.0.2.100:80
removed 192.0.2.11:80 1 connections, touched true
added 192.0.2.13:80 0 connections, touched false
changed instance VI_51 [priority: 150 > 120] [virtual_ipaddress: 192.0.2.100/32 dev eth0, 192.0.2.101/32 dev eth0 > 192.0.2.100/32 dev eth0, 192.0.2.102/32 dev eth0] MASTER becomes BACKUP if another director has more than 120
added instance VI_53  begins as BACKUP, and becomes MASTER unless it hears a higher one
removed instance VI_52 MASTER leaves, and gives its addresses up`
		if got := tell(changes); got != want || tell(planned) != want {
			t.Errorf("changes\n%s\nplanned\n%s\nwant\n%s", got, tell(planned), want)
		}
		if changes.Touched() != 1 {
			t.Errorf("%d connections are touched, want 1", changes.Touched())
		}
		synctest.Wait()
		if got := m.Calls(); !slices.Equal(got, []string{"add 192.0.2.102/32", "remove 192.0.2.101/32", "remove 192.0.2.110/32", "announce 192.0.2.102"}) {
			t.Errorf("done %v", got)
		}
		n.want(cluster.Master, theVIP+" 192.0.2.102/32")
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP+" 192.0.2.102/32 192.0.2.120/32")
		if got := serving(m); got != "192.0.2.12 192.0.2.13" {
			t.Errorf("in are %q", got)
		}
		if m.Open() != 2 {
			t.Errorf("%d transports are open, want 2", m.Open())
		}
		shot, err := n.Snapshot(t.Context())
		if err != nil || len(shot.Instances) != 2 || shot.Instances[0].Priority != 120 || shot.Instances[1].Name != "VI_53" {
			t.Errorf("instances %+v, %v", shot.Instances, err)
		}
		if _, again := n.next(to); !again.Empty() {
			t.Errorf("once more: %s", tell(again))
		}
		n.wantLogged("renew the lease", 0)
		n.wantLogged("release the lease", 0)
		n.wantLogged("vrrp state changed instance=VI_51 from=MASTER", 0)
	})
}

// A reload may have an instance send from another address, and hears there from then on.
func TestReloadOpensAnotherTransport(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m1, m2 := s.segment.Machine("192.0.2.1/24"), s.segment.Machine("192.0.2.2/24")
		unicast := func(priority uint8, peer string) *conf.Config {
			in := vrrpOn(51, priority, theVIP)
			in.Peers = []conf.Peer{{Addr: netip.MustParseAddr(peer)}}
			return cfg(in)
		}
		n := s.add(m1, cfg(vrrpOn(51, 100, theVIP))).start()
		defer n.stop()
		other := s.add(m2, unicast(150, "192.0.2.1")).start()
		defer other.stop()
		time.Sleep(5 * time.Second)
		n.want(cluster.Master, theVIP) // neither hears the other one
		if _, err := n.Reload(unicast(100, "192.0.2.2")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m1.Open() != 1 {
			t.Errorf("%d transports are open, want the new one", m1.Open())
		}
		time.Sleep(2 * time.Second)
		n.want(cluster.Backup, "")
		other.want(cluster.Master, theVIP)
	})
}

// A reload that fails at any step leaves everything as it was, and goes on.
func TestRefusedReloadIsPutBack(t *testing.T) {
	here := server("192.0.2.1", tcp("192.0.2.1:80"))
	to := cfg(vrrpOn(51, 120, theVIP, "192.0.2.101/32"), vrrpOn(53, 100, "192.0.2.120/32"))
	to.VRRPInstances[0].SourceIP = netip.MustParseAddr("192.0.2.1")
	to.VirtualServers[0].RealServers = []conf.RealServer{here, server("192.0.2.13")}
	timing := cfg(vrrpOn(51, 150, theVIP))
	timing.VirtualServers[0].RealServers[0].Checks[0].DelayLoop = 0
	invalid := cfg(vrrpOn(51, 0, theVIP))
	nowhere := cfg(vrrpOn(51, 150, theVIP))
	nowhere.VRRPInstances[0].Interface = "eth9"
	for _, tt := range []struct {
		name string
		to   *conf.Config
		fail func(*node)
		want string
		// lines of the log that tell of what could not be put back
		left int
	}{
		{"the data plane's check", to, func(n *node) { n.machine.Refuse("check", 1) }, "refused by the test", 0},
		{"a check's times", timing, func(*node) {}, "virtual server TCP 192.0.2.100:80: real server 192.0.2.11:80: delay_loop 0s: expected more than 0", 0},
		{"an instance's priority", invalid, func(*node) {}, `vrrp_instance VI_51: vrrp instance "VI_51": priority 0`, 0},
		{"an interface that is not there", nowhere, func(*node) {}, "vrrp_instance VI_51: device \"eth9\": no such device", 0},
		{"a new instance's transport", to, func(n *node) { n.machine.Refuse("open", 1) }, "vrrp_instance VI_53: refused by the test", 0},
		{"the real server's side", to, func(n *node) { n.real.fail(errors.New("no lo")) }, "set this machine up as a real server: no lo", 1},
		{"the data plane", to, func(n *node) { n.machine.Refuse("set", 1) }, "refused by the test", 0},
		{"a VIP", to, func(n *node) { n.machine.Refuse("add", 1) }, "add VIP: refused by the test", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, s *site) {
				m := s.segment.Machine("192.0.2.1/24")
				before := cfg(vrrpOn(51, 150, theVIP))
				before.VRRPInstances[0].SourceIP = netip.MustParseAddr("192.0.2.1")
				n := s.add(m, before).start()
				defer n.stop()
				time.Sleep(5 * time.Second)
				plan := fmt.Sprintf("%+v", m.Plan())
				tt.fail(n)
				_, err := n.Reload(tt.to)
				if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !strings.HasSuffix(err.Error(), "; everything is as it was") {
					t.Errorf("error %v, want %q and that nothing has changed", err, tt.want)
				}
				n.real.fail(nil)
				n.wantLogged("put back what a reload had begun", tt.left)
				n.want(cluster.Master, theVIP)
				if got := fmt.Sprintf("%+v", m.Plan()); got != plan {
					t.Errorf("the plan is %s, want %s", got, plan)
				}
				if m.Open() != 1 {
					t.Errorf("%d transports are open, want 1", m.Open())
				}
				time.Sleep(10 * time.Second)
				n.want(cluster.Master, theVIP)
				if got := serving(m); got != "192.0.2.11 192.0.2.12" {
					t.Errorf("in are %q", got)
				}
				if _, err := n.Reload(to); err != nil {
					t.Errorf("the next reload: %v", err)
				}
				time.Sleep(5 * time.Second)
				n.want(cluster.Master, theVIP+" 192.0.2.101/32 192.0.2.120/32")
			})
		})
	}
}

// A configuration with other unicast peers opens a transport; what fails after that
// closes it.
func TestRefusedReloadClosesItsTransport(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP))).start()
		defer n.stop()
		in := vrrpOn(51, 150, theVIP)
		in.Peers = []conf.Peer{{Addr: netip.MustParseAddr("192.0.2.2")}}
		for _, call := range []string{"open", "set"} {
			m.Refuse(call, 1)
			if _, err := n.Reload(cfg(in)); err == nil {
				t.Errorf("%s: want an error", call)
			}
			if m.Open() != 1 {
				t.Errorf("%s: %d transports are open, want 1", call, m.Open())
			}
		}
	})
}

// What cannot be removed or put back is told, and does not keep a reload from it.
func TestReloadTellsOfAddressesThatStay(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg(vrrpOn(51, 150, theVIP, "192.0.2.101/32"))).start()
		defer n.stop()
		time.Sleep(5 * time.Second)
		m.Refuse("remove", 1)
		if _, err := n.Reload(cfg(vrrpOn(51, 150, theVIP))); err != nil {
			t.Fatal(err)
		}
		n.wantLogged("remove VIPs instance=VI_51 error=remove 192.0.2.101/32 from eth0: refused by the test", 1)
		m.Refuse("add", 2)
		if _, err := n.Reload(cfg(vrrpOn(51, 150, theVIP, "192.0.2.102/32"))); err != nil {
			t.Fatal(err)
		}
		n.wantLogged("add VIPs instance=VI_51 error=refused by the test", 1)
	})
}

// Nobody is answered once the director has stopped.
func TestAskAfterTheEnd(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		n := s.add(s.segment.Machine("192.0.2.1/24"), cfg()).start()
		n.stop()
		for range cap(n.events) + 2 {
			if _, err := n.Reload(cfg()); !errors.Is(err, ErrStopped) {
				t.Fatalf("reload: %v, want that weir is stopping", err)
			}
			n.post(func() *cluster.Event { return nil })
		}
		if _, err := n.Plan(cfg()); !errors.Is(err, ErrStopped) {
			t.Errorf("plan: %v, want that weir is stopping", err)
		}
	})
}

// A rack that goes down is one change of the tables.
func TestEventsAreGathered(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		n := s.add(m, cfg()).start()
		defer n.stop()
		free := make(chan struct{})
		n.post(func() *cluster.Event { <-free; return nil })
		synctest.Wait()
		for range 10 {
			n.post(func() *cluster.Event { e := cluster.DirectorStarted(0, 0); return &e })
		}
		m.Refuse("set", 2) // the second one would fail
		close(free)
		synctest.Wait()
		n.wantLogged("started", 11)
		n.wantLogged("set the data plane", 0)
		m.Refuse("set", 0)
	})
}

// TestPlanNamesDevicesOnce: those of the weir block, of instances and their VIPs, of
// networks with a VIP without instance, and of servers behind NAT.
func TestPlanNamesDevicesOnce(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		m := s.segment.Machine("192.0.2.1/24")
		m.Plug("eth1", 3, "198.51.100.1/24")
		m.Plug("eth2", 4, "203.0.113.1/24")
		m.Plug("eth3", 5, "192.0.2.9/32")
		c := cfg(vrrpOn(51, 100, theVIP))
		c.VRRPInstances[0].VIPs[0].Device = "eth3"
		c.Weir.Devices = []conf.Device{{Name: "eth0", Hook: lvs.HookNative}}
		nat := server("203.0.113.7")
		nat.Method = lvs.Masquerade
		far := server("233.252.0.1") // of no network of ours
		far.Method = lvs.Masquerade
		vs := virtual(81, nat, nat, far)
		vs.Keys[0].Addr = netip.MustParseAddr("198.51.100.100")
		c.VirtualServers = append(c.VirtualServers, vs)
		n := s.add(m, c)
		var names []string
		w, err := n.Director.want(n.picture)
		if err != nil {
			t.Fatal(err)
		}
		plan := n.planOf(n.picture, w)
		for _, d := range plan.Devices {
			names = append(names, d.Name+" "+string(d.Hook))
		}
		if got := strings.Join(names, ", "); got != "eth0 native, eth3 auto, eth1 auto, eth2 auto" {
			t.Errorf("devices %s", got)
		}
		if len(plan.Instances) != 1 || plan.Instances[0].VIPs[0] != web.Addr {
			t.Errorf("instances %+v, want the VIP of the service", plan.Instances)
		}
	})
}
