package pool

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/lvs"
)

// before is what an earlier process left.
type before map[lvs.ServiceKey][]netip.AddrPort

func (b before) Serving(key lvs.ServiceKey) ([]netip.AddrPort, bool) {
	servers, ok := b[key]
	return servers, ok
}

var web = lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}

func server(addr string, checks ...conf.Check) conf.RealServer {
	return conf.RealServer{Addr: netip.MustParseAddr(addr), Port: 80, Weight: 1, Method: lvs.DirectRoute, Checks: checks}
}

// bed is pools whose checks are said to run, and do not.
type bed struct{ pools Pools }

func newBed(left Left, servers ...conf.RealServer) *bed {
	return bedOf(left, conf.VirtualServer{Keys: []lvs.ServiceKey{web}, Scheduler: lvs.RoundRobin, RealServers: servers})
}

func bedOf(left Left, all ...conf.VirtualServer) *bed {
	b := &bed{}
	for _, vs := range all {
		p := New(vs)
		p.TakeUp(left)
		b.pools = append(b.pools, p)
	}
	b.checks().Set(nil, b.pools)
	return b
}

func (b *bed) checks() *Checks {
	return &Checks{New: fromRow, Start: func(*check.Runner) context.CancelFunc { return func() {} }}
}

// become goes on with other virtual servers.
func (b *bed) become(all ...conf.VirtualServer) {
	next, _ := b.pools.Next(all)
	b.checks().Set(b.pools, next)
	b.pools = next
}

// in names the servers of the first service.
func (b *bed) in() string {
	var names []string
	for _, rs := range b.pools[0].Services()[0].RealServers {
		names = append(names, rs.Addr.String())
	}
	return strings.Join(names, " ")
}

// tcp is a check of a port, every so many seconds.
func tcp(port uint16, delay time.Duration) conf.Check {
	return conf.Check{
		Kind: conf.CheckTCP, Connect: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port),
		Timers: conf.Timers{DelayLoop: delay, ConnectTimeout: time.Second},
	}
}

func alpha(c conf.Check) conf.Check {
	c.Alpha = true
	return c
}

func weighing(rs conf.RealServer, weight int) conf.RealServer {
	rs.Weight = weight
	return rs
}

func virtual(port uint16, servers ...conf.RealServer) conf.VirtualServer {
	key := web
	key.Port = port
	return conf.VirtualServer{Keys: []lvs.ServiceKey{key}, Scheduler: lvs.RoundRobin, RealServers: servers}
}

func TestServersAreInUntilACheckFails(t *testing.T) {
	twice := []conf.Check{{Kind: conf.CheckTCP}, {Kind: conf.CheckTCP}}
	b := newBed(before{}, server("192.0.2.11", twice...), server("192.0.2.12"), server("192.0.2.13", conf.Check{Kind: conf.CheckTCP, Timers: conf.Timers{Alpha: true}}))
	refused := errors.New("connection refused")
	for _, step := range []struct {
		what    string
		member  int
		check   int
		reason  error
		changes bool
		want    string
	}{
		{"the second check of .11 fails", 0, 1, refused, true, "192.0.2.12"},
		{"its first fails too", 0, 0, refused, false, "192.0.2.12"},
		{"its second is good again", 0, 1, nil, false, "192.0.2.12"},
		{"its first is good again", 0, 0, nil, true, "192.0.2.11 192.0.2.12"},
		{".13, alpha, passes its first check", 2, 0, nil, true, "192.0.2.11 192.0.2.12 192.0.2.13"},
	} {
		checker := b.pools[0].members[step.member].checkers[step.check]
		then := checker.Judge(check.Verdict{Up: step.reason == nil, Reason: step.reason})
		if (then != nil) != step.changes {
			t.Errorf("%s: changes %v, want %v", step.what, then != nil, step.changes)
		}
		if got := b.in(); got != step.want {
			t.Errorf("%s: in are %q, want %q", step.what, got, step.want)
		}
	}
}

// A process that takes up another's work begins with the servers that were in.
func TestServersThatWereOutStayOutUntilTheyPassACheck(t *testing.T) {
	was := before{web: {netip.MustParseAddrPort("192.0.2.11:80")}}
	b := newBed(was, server("192.0.2.11", conf.Check{Kind: conf.CheckTCP}), server("192.0.2.12", conf.Check{Kind: conf.CheckTCP, Timers: conf.Timers{Warmup: time.Minute}}), server("192.0.2.13"))
	if got := b.in(); got != "192.0.2.11 192.0.2.13" {
		t.Errorf("in are %q; want .11, which was in, and .13, which nothing checks", got)
	}
	for i, m := range b.pools[0].members[:2] {
		if c := m.checkers[0].asked(); c.Alpha != (i == 1) || c.Warmup != 0 {
			t.Errorf("%s: alpha %v, warm-up %s; want .12 alone to prove itself, and at once", m.server.Addr, c.Alpha, c.Warmup)
		}
	}
	b.pools[0].members[1].checkers[0].Judge(check.Verdict{Up: true})
	if got := b.in(); got != "192.0.2.11 192.0.2.12 192.0.2.13" {
		t.Errorf("in are %q after .12 passed", got)
	}
}

// A group is one pool: its checks serve all of its services, and its servers
// have each service's port where direct routing keeps it.
func TestGroupIsOnePool(t *testing.T) {
	dns := lvs.ServiceKey{Protocol: lvs.UDP, Addr: web.Addr, Port: 53}
	mark := lvs.MarkKey(7, false)
	vs := conf.VirtualServer{
		Keys: []lvs.ServiceKey{web, dns, mark}, Group: "G", PersistenceTimeout: time.Minute, OnePacket: true,
		Rules: lvs.ConnRules{SloppyTCP: true}, RealServers: []conf.RealServer{server("192.0.2.11", conf.Check{Kind: conf.CheckTCP}), server("192.0.2.12")},
	}
	b := bedOf(before{}, vs)
	b.pools[0].members[0].checkers[0].Judge(check.Verdict{Reason: errors.New("refused")})
	services := b.pools[0].Services()
	if len(services) != 3 {
		t.Fatalf("%d services, want one for each member of the group", len(services))
	}
	for i, key := range vs.Keys {
		got := services[i]
		if got.ServiceKey != key || len(got.RealServers) != 1 || got.RealServers[0].Port != key.Port {
			t.Errorf("service %+v, want %s with .12 alone, at its port", got, key)
		}
		if got.Persistence.Timeout != time.Minute || !got.OnePacket || !got.Rules.SloppyTCP {
			t.Errorf("service %+v lacks what the group says", got)
		}
	}
}

func fromRow(c conf.Check) check.Checker { return FromRow(c, &check.Shared{}) }
