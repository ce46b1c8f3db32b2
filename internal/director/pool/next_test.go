package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/diff"
	"weir/lvs"
)

// list is the virtual servers of a configuration.
func list(all ...conf.VirtualServer) []conf.VirtualServer { return all }

// tell writes changes as a line each.
func tell(changes []Change) string {
	var lines []string
	list := func(s []diff.Setting) (text string) {
		for _, one := range s {
			text += fmt.Sprintf(" [%s: %s > %s]", one.Name, one.From, one.To)
		}
		return text
	}
	for _, s := range changes {
		lines = append(lines, fmt.Sprintf("%s %s%s", s.Kind, s.Service, list(s.Settings)))
		for _, rs := range s.Servers {
			line := fmt.Sprintf("%s %s%s", rs.Kind, rs.Server, list(rs.Settings))
			if rs.Touched {
				line += " touched"
			}
			if rs.Checked {
				line += " waits"
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// TestNext: which changes another configuration makes of a picture.
func TestNext(t *testing.T) {
	nat := server("192.0.2.11")
	nat.Method = lvs.Masquerade
	group := func(keys ...lvs.ServiceKey) conf.VirtualServer {
		return conf.VirtualServer{Keys: keys, Group: "G", Scheduler: lvs.RoundRobin, RealServers: []conf.RealServer{server("192.0.2.11")}}
	}
	dns := lvs.ServiceKey{Protocol: lvs.UDP, Addr: web.Addr, Port: 53}
	persistent := virtual(80, server("192.0.2.11"))
	persistent.PersistenceTimeout, persistent.Scheduler = time.Minute, lvs.SourceHash
	tests := []struct {
		name     string
		was, now []conf.VirtualServer
		want     string
	}{
		{"the same", list(virtual(80, server("192.0.2.11", tcp(80, 6)))), list(virtual(80, server("192.0.2.11", tcp(80, 6)))), ""},
		{"another order", list(virtual(80, server("192.0.2.11"), server("192.0.2.12")), virtual(81)), list(virtual(81), virtual(80, server("192.0.2.12"), server("192.0.2.11"))), ""},
		{"a weight", list(virtual(80, server("192.0.2.11"))), list(virtual(80, weighing(server("192.0.2.11"), 3))),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [weight: 1 > 3]"},
		{"servers come and go", list(virtual(80, server("192.0.2.11"), server("192.0.2.12"))), list(virtual(80, server("192.0.2.13", alpha(tcp(80, 6))), server("192.0.2.12"), server("192.0.2.14", tcp(80, 6)))),
			"changed TCP 192.0.2.100:80\nremoved 192.0.2.11:80 touched\nadded 192.0.2.13:80 waits\nadded 192.0.2.14:80"},
		{"another method", list(virtual(80, server("192.0.2.11"))), list(virtual(80, nat)),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [lvs_method: DR > NAT] touched"},
		{"services come and go", list(virtual(80, server("192.0.2.11"))), list(virtual(81, server("192.0.2.11"))),
			"added TCP 192.0.2.100:81\nadded 192.0.2.11:80\nremoved TCP 192.0.2.100:80\nremoved 192.0.2.11:80 touched"},
		{"a service's settings", list(virtual(80, server("192.0.2.11"))), list(persistent),
			"changed TCP 192.0.2.100:80 [lb_algo: rr > sh] [persistence_timeout: 0s > 1m0s]"},
		{"a group gets a service", list(group(web)), list(group(web, dns)),
			"changed group G (TCP 192.0.2.100:80, UDP 192.0.2.100:53) [virtual_server_group: TCP 192.0.2.100:80 > TCP 192.0.2.100:80, UDP 192.0.2.100:53]"},
		{"a group loses one", list(group(web, dns)), list(group(dns)),
			"changed group G (UDP 192.0.2.100:53) [virtual_server_group: TCP 192.0.2.100:80, UDP 192.0.2.100:53 > UDP 192.0.2.100:53]"},
		{"a check's times", list(virtual(80, server("192.0.2.11", tcp(80, 6*time.Second)))), list(virtual(80, server("192.0.2.11", tcp(80, 9*time.Second)))),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [TCP_CHECK delay_loop: 6s > 9s]"},
		{"how a check begins is past", list(virtual(80, server("192.0.2.11", tcp(80, 6)))), list(virtual(80, server("192.0.2.11", alpha(tcp(80, 6))))),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [TCP_CHECK alpha: off > on]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := bedOf(before{}, tt.was...)
			services := func() (text string) {
				for _, p := range b.pools {
					text += fmt.Sprintf("%+v", p.Services())
				}
				return text
			}
			was := services()
			next, changes := b.pools.Next(tt.now)
			if got := tell(changes); got != tt.want {
				t.Errorf("changes\n%s\nwant\n%s", got, tt.want)
			}
			if again := services(); again != was {
				t.Errorf("the pools in force have changed: %s\nwas %s", again, was)
			}
			// What was reached is what was wanted: there is nothing left to do.
			if _, more := next.Next(tt.now); len(more) > 0 {
				t.Errorf("once more: %s", tell(more))
			}
		})
	}
}

// TestVerdictsSurvive: what a server of before, up or down, is after a reload.
func TestVerdictsSurvive(t *testing.T) {
	six, nine := 6*time.Second, 9*time.Second
	tests := []struct {
		name     string
		was, now []conf.Check
		down     bool // the first check of before
		in       bool
		goesOn   bool // the first check's runner
		proves   bool // the first check has to pass before it counts as up
	}{
		{"the same check, up", []conf.Check{tcp(80, six)}, []conf.Check{tcp(80, six)}, false, true, true, false},
		{"the same check, down", []conf.Check{tcp(80, six)}, []conf.Check{tcp(80, six)}, true, false, true, true},
		{"other times, up", []conf.Check{tcp(80, six)}, []conf.Check{tcp(80, nine)}, false, true, false, false},
		{"other times, down", []conf.Check{tcp(80, six)}, []conf.Check{tcp(80, nine)}, true, false, false, true},
		{"another target, up: no check that has not run takes it out", []conf.Check{tcp(80, six)}, []conf.Check{alpha(tcp(81, six))}, false, true, false, false},
		{"another target, down: it has to pass first", []conf.Check{tcp(80, six)}, []conf.Check{tcp(81, six)}, true, false, false, true},
		{"no check any more", []conf.Check{tcp(80, six)}, nil, true, true, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(before{}, server("192.0.2.11", tt.was...))
			checker := b.pools[0].members[0].checkers[0]
			if tt.down {
				checker.Judge(check.Verdict{Reason: errors.New("refused")})
			}
			b.become(virtual(80, server("192.0.2.11", tt.now...)))
			if got := b.in() == "192.0.2.11"; got != tt.in {
				t.Errorf("in: %v, want %v", got, tt.in)
			}
			checkers := b.pools[0].members[0].checkers
			if goesOn := len(checkers) > 0 && checkers[0] == checker; goesOn != tt.goesOn {
				t.Errorf("its check goes on: %v, want %v", goesOn, tt.goesOn)
			}
			if len(checkers) > 0 && !tt.goesOn && checkers[0].asked().Alpha != tt.proves {
				t.Errorf("it has to prove itself: %v, want %v", checkers[0].asked().Alpha, tt.proves)
			}
			// The verdict of a check that is gone comes too late.
			if then := checker.Judge(check.Verdict{Reason: errors.New("late")}); !tt.goesOn && then != nil {
				t.Error("a check that is gone still counts")
			}
		})
	}
}

// New servers come behind those that stay, whatever the file's order: so they would
// have been added.
func TestServersKeepTheirPlaces(t *testing.T) {
	b := newBed(before{}, server("192.0.2.11"), server("192.0.2.12"))
	b.become(virtual(80, server("192.0.2.13"), server("192.0.2.12"), server("192.0.2.11")))
	if got := b.in(); got != "192.0.2.11 192.0.2.12 192.0.2.13" {
		t.Errorf("in are %q", got)
	}
}

// A virtual server that was not read again is not worked out again either, unless
// something that stands elsewhere has changed it.
func TestUnchangedPoolIsShared(t *testing.T) {
	vs := virtual(80, server("192.0.2.11"), server("192.0.2.12"))
	scheduler, rules, fewer := vs, vs, vs
	scheduler.Scheduler, rules.Rules.SloppyTCP, fewer.RealServers = lvs.DestinationHash, true, vs.RealServers[:1]
	b := bedOf(before{}, vs)
	for name, tt := range map[string]struct {
		now     conf.VirtualServer
		changes int
	}{"the same": {vs, 0}, "another scheduler": {scheduler, 1}, "other rules": {rules, 1}, "a server less": {fewer, 1}} {
		next, changes := b.pools.Next([]conf.VirtualServer{tt.now})
		if shared := next[0] == b.pools[0]; shared != (tt.changes == 0) || len(changes) != tt.changes {
			t.Errorf("%s: the pool is shared: %v; changes %v", name, shared, changes)
		}
	}
}

// Checks run, report to the loop, and stop; a check that stays goes on.
func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		crew := check.NewCrew(ctx)
		running, down := 0, new(atomic.Bool)
		down.Store(true)
		results := make(chan func() *cluster.Event, 10)
		k := Checks{
			Loud: &atomic.Bool{},
			New:  func(target conf.Check) check.Checker { return answers{target, down} },
			Start: func(r *check.Runner) context.CancelFunc {
				stop := r.Start(crew)
				running++
				return func() { running--; stop() }
			},
			Report: func(c *Checker, r check.Verdict) { results <- func() *cluster.Event { return c.Judge(r) } },
			Log:    slog.New(slog.DiscardHandler),
		}
		one := virtual(80, server("192.0.2.11", tcp(80, time.Second)), server("192.0.2.12"))
		pools, _ := Pools(nil).Next(list(one))
		if err := pools.Validate(); err != nil {
			t.Fatal(err)
		}
		k.Set(nil, pools)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		down.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for _, want := range []cluster.Kind{cluster.RealServerDown, cluster.RealServerUp} {
			if e := (<-results)(); e == nil || e.Kind != want {
				t.Errorf("told %+v, want %s", e, want)
			}
		}
		next, _ := pools.Next(list(virtual(80, server("192.0.2.11", tcp(80, time.Second), tcp(81, 0)))))
		if err := next.Validate(); err == nil || err.Error() != "virtual server TCP 192.0.2.100:80: real server 192.0.2.11:80: delay_loop 0s: expected more than 0" {
			t.Errorf("error %v", err)
		}
		next, _ = pools.Next(list(virtual(80, server("192.0.2.11", tcp(80, time.Second), tcp(81, time.Second)))))
		k.Set(pools, next)
		if running != 2 || next[0].members[0].checkers[0] != pools[0].members[0].checkers[0] {
			t.Errorf("%d checks run, want 2, the first one as before", running)
		}
		k.Set(next, nil)
		if running != 0 {
			t.Errorf("%d checks run in the end", running)
		}
	})
}

// answers is a check that fails while the server is down.
type answers struct {
	spec conf.Check
	down *atomic.Bool
}

func (a answers) String() string { return string(a.spec.Kind) + " " + a.spec.Connect.String() }

func (a answers) Check(context.Context) (check.Weight, error) {
	if a.down.Load() {
		return check.Weight{}, errors.New("refused")
	}
	return check.Weight{}, nil
}

// A reading has a server in each service of a group, by the address and port that it
// has there, and why it is down.
func TestRead(t *testing.T) {
	dns := lvs.ServiceKey{Protocol: lvs.UDP, Addr: web.Addr, Port: 53}
	six := lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("2001:db8::100"), Port: 80}
	b := bedOf(before{}, conf.VirtualServer{
		Keys: []lvs.ServiceKey{web, dns, six}, Group: "G", Scheduler: lvs.SourceHash,
		RealServers: []conf.RealServer{server("192.0.2.11", tcp(80, 6), tcp(81, 6)), server("2001:db8::11")},
	})
	at := time.Now().Add(time.Hour)
	b.pools[0].members[0].checkers[1].Judge(check.Verdict{Reason: errors.New("refused"), At: at})
	at53 := netip.MustParseAddrPort("192.0.2.11:53")
	services := b.pools.Read().Finish(Counts{
		Services: map[lvs.ServiceKey]cluster.Traffic{dns: {InBytes: 9}},
		Servers:  map[lvs.ServiceKey]map[netip.AddrPort]ServerCounts{dns: {at53: {Inactive: 4}}},
	})
	if len(services) != 3 || services[1].Name != "UDP 192.0.2.100:53" || services[1].Group != "G" || services[1].Traffic.InBytes != 9 {
		t.Fatalf("services %+v", services)
	}
	s := services[1].Servers
	if len(s) != 1 || s[0].Addr != at53 || s[0].Up || s[0].Reason != "refused" || !s[0].Since.Equal(at) || s[0].Inactive != 4 {
		t.Errorf("servers of UDP %+v", s)
	}
	if got := fmt.Sprint(s[0].Checkers); got != "[TCP_CHECK 192.0.2.1:80 TCP_CHECK 192.0.2.1:81]" {
		t.Errorf("checkers %s", got)
	}
	if s := services[2].Servers; len(s) != 1 || !s[0].Up {
		t.Errorf("servers of IPv6 %+v", s)
	}
}

// A change counts the connections of servers that were there, in all their services.
func TestCount(t *testing.T) {
	live := func(lvs.ServiceKey) map[netip.AddrPort]int {
		return map[netip.AddrPort]int{netip.MustParseAddrPort("192.0.2.11:80"): 3, netip.MustParseAddrPort("192.0.2.12:80"): 5}
	}
	b := newBed(before{}, server("192.0.2.11"))
	_, changes := b.pools.Next(list(virtual(80, server("192.0.2.12"))))
	changes[0].Count(live)
	if s := changes[0].Servers; s[0].Connections != 3 || s[1].Connections != 0 {
		t.Errorf("servers %+v, want 3 connections of the one that leaves", s)
	}
}

// What the director asks of pools for devices, and for this machine as a real server.
func TestAddressesAndServers(t *testing.T) {
	b := bedOf(before{}, conf.VirtualServer{Keys: []lvs.ServiceKey{web, lvs.MarkKey(7, false)}, Group: "G", RealServers: []conf.RealServer{server("192.0.2.11")}})
	var got []string
	b.pools[0].Addresses(func(a netip.Addr) { got = append(got, a.String()) })
	b.pools[0].Servers(func(rs lvs.RealServer) { got = append(got, rs.AddrPort().String()) })
	if !slices.Equal(got, []string{"192.0.2.100", "192.0.2.11:80"}) {
		t.Errorf("addresses and servers %v", got)
	}
}
