package pool

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/lvs"
)

// story is a virtual server of some real servers, 192.0.2.11 and so on, and what becomes
// of it: "-1" has the first one fail, "+1" pass, "1=5" pass with that weight.
func story(t *testing.T, change func(*conf.VirtualServer), weights []int, steps ...string) {
	t.Helper()
	var servers []conf.RealServer
	for i, w := range weights {
		servers = append(servers, weighing(server(fmt.Sprint("192.0.2.", 11+i), tcp(80, 1)), w))
	}
	vs := virtual(80, servers...)
	vs.Quorum = 1
	change(&vs)
	p := New(vs)
	b := &bed{pools: Pools{p}}
	b.checks().Set(nil, b.pools)
	for _, step := range steps {
		do, want, _ := strings.Cut(step, ": ")
		var events []string
		for _, one := range strings.Fields(do) {
			var n, weight int
			verdict := check.Verdict{Up: one[0] != '-'}
			if !verdict.Up {
				verdict.Reason = errors.New("bad")
			}
			if _, err := fmt.Sscanf(one, "%d=%d", &n, &weight); err == nil {
				verdict.Weight = check.Weight{Absolute: true, N: weight}
			} else if n = int(one[1] - '0'); n < 1 {
				t.Fatal(one)
			}
			c := p.members[n-1].checkers[0]
			c.Judge(verdict)
			if e := c.Quorum(); e != nil {
				events = append(events, map[cluster.Kind]string{cluster.QuorumGained: "gained", cluster.QuorumLost: "lost"}[e.Kind])
			}
			if e := c.Quorum(); e != nil {
				t.Errorf("%s: told twice: %+v", one, e)
			}
		}
		got := strings.Join(append(events, strings.ReplaceAll(b.weights(), "192.0.2.", ".")), " ")
		if got != want {
			t.Errorf("%s: %s, want %s", do, got, want)
		}
	}
}

func TestQuorum(t *testing.T) {
	sorry := func(vs *conf.VirtualServer) { vs.SorryServer = netip.MustParseAddrPort("192.0.2.99:80") }
	t.Run("without a sorry server only the events tell", func(t *testing.T) {
		story(t, func(*conf.VirtualServer) {}, []int{1, 1}, "-1: .12=1", "-2: lost ", "+2: gained .12=1")
	})
	t.Run("the sorry server serves while nobody else does", func(t *testing.T) {
		story(t, sorry, []int{1, 1}, "-1: .12=1", "-2: lost .99=1", "+1: gained .11=1", "+2: .11=1 .12=1", "-1 -2: lost .99=1", "+2: gained .12=1")
	})
	t.Run("it serves alone below the quorum", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) { sorry(vs); vs.Quorum = 2 }, []int{1, 1, 1},
			"-1: .12=1 .13=1", "-2: lost .99=1", "-3: .99=1", "+3: .99=1", "+1: gained .11=1 .13=1")
	})
	t.Run("hysteresis", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) { sorry(vs); vs.Quorum, vs.Hysteresis = 3, 1 }, []int{1, 1, 1, 1},
			"-1: .12=1 .13=1 .14=1", "-2: .13=1 .14=1", "-3: lost .99=1", "+3: .99=1", "+2: .99=1", "+1: gained .11=1 .12=1 .13=1 .14=1")
	})
	t.Run("weights count", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) { sorry(vs); vs.Quorum = 10 }, []int{8, 4},
			"1=5: lost .99=1", "1=6: gained .11=6 .12=4", "-2: lost .99=1", "1=10: gained .11=10")
	})
	t.Run("weight 0 is nothing", func(t *testing.T) {
		story(t, sorry, []int{3}, "1=0: lost .99=1", "1=1: gained .11=1")
	})
	t.Run("sorry_server_inhibit", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) { sorry(vs); vs.SorryInhibit = true }, []int{2}, "+1: .11=2 .99=0", "-1: lost .99=1", "+1: gained .11=2 .99=0")
	})
	t.Run("inhibit_on_failure", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) {
			sorry(vs)
			vs.Quorum = 2
			for i := range vs.RealServers {
				vs.RealServers[i].InhibitOnFailure = true
			}
		}, []int{2, 2}, "-1: .11=0 .12=2", "-2: lost .11=0 .12=0 .99=1", "+1: gained .11=2 .12=0")
	})
	t.Run("a real server is the sorry server, too", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) {
			vs.SorryServer, vs.Quorum = netip.MustParseAddrPort("192.0.2.12:80"), 2
			vs.RealServers[1].InhibitOnFailure = true
		}, []int{1, 1}, "-1: lost .12=1", "-2: .12=1", "+1 +2: gained .11=1 .12=1")
	})
	t.Run("alpha", func(t *testing.T) {
		story(t, func(vs *conf.VirtualServer) {
			sorry(vs)
			vs.RealServers[0].Checks[0].Alpha = true
		}, []int{1}, "-1: .99=1", "+1: gained .11=1")
	})
}

// The sorry server has its own method and port, in each service of a group that it fits.
func TestSorryServerInAGroup(t *testing.T) {
	vs := virtual(80, server("192.0.2.11", tcp(80, 1)))
	vs.Quorum, vs.SorryServer, vs.SorryMethod = 1, netip.MustParseAddrPort("192.0.2.99:8080"), lvs.Masquerade
	vs.Keys = append(vs.Keys, lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("2001:db8::1"), Port: 80})
	p := New(vs)
	b := &bed{pools: Pools{p}}
	b.checks().Set(nil, b.pools)
	p.members[0].checkers[0].Judge(check.Verdict{Reason: errors.New("bad")})
	services := p.Services()
	if got := services[0].RealServers; len(got) != 1 || got[0].AddrPort() != vs.SorryServer || got[0].Method != lvs.Masquerade {
		t.Errorf("IPv4: %+v, want the sorry server by NAT", got)
	}
	if got := services[1].RealServers; len(got) != 0 {
		t.Errorf("IPv6: %+v, want nobody", got)
	}
	found := false
	p.Servers(func(rs lvs.RealServer) { found = found || rs.AddrPort() == vs.SorryServer })
	if !found {
		t.Error("the sorry server is none of the pool's servers")
	}
	listed := b.pools.Read().Finish(Counts{})
	if last := listed[0].Servers[len(listed[0].Servers)-1]; last.Addr != vs.SorryServer || !last.Up {
		t.Errorf("the snapshot has %+v last, want the sorry server", last)
	}
}

// A reload keeps the quorum's state between its bounds, and tells of a change by itself.
func TestQuorumAcrossAReload(t *testing.T) {
	with := func(quorum, hysteresis int) conf.VirtualServer {
		vs := virtual(80, server("192.0.2.11", tcp(80, 1)), server("192.0.2.12", tcp(80, 1)), server("192.0.2.13", tcp(80, 1)))
		vs.Quorum, vs.Hysteresis, vs.SorryServer = quorum, hysteresis, netip.MustParseAddrPort("192.0.2.99:80")
		return vs
	}
	b := &bed{pools: Pools{New(with(2, 1))}}
	b.checks().Set(nil, b.pools)
	judge := func(i int, err error) {
		b.pools[0].members[i].checkers[0].Judge(check.Verdict{Up: err == nil, Reason: err})
		b.pools.Quorums()
	}
	bad := errors.New("bad")
	judge(0, bad)
	judge(1, bad)
	if got := b.in(); got != "192.0.2.13" {
		t.Fatalf("between the bounds: %q", got)
	}
	for _, step := range []struct {
		quorum, hysteresis int
		events             int
		want               string
	}{
		{3, 2, 0, "192.0.2.13"}, // lost below 1 only
		{2, 0, 1, "192.0.2.99"},
		{2, 1, 0, "192.0.2.99"}, // gained from 3 on
		{1, 0, 1, "192.0.2.13"},
	} {
		b.become(with(step.quorum, step.hysteresis))
		if events := b.pools.Quorums(); len(events) != step.events {
			t.Errorf("%+v: %d events", step, len(events))
		}
		if got := b.in(); got != step.want {
			t.Errorf("%+v: %q serve", step, got)
		}
	}
}
