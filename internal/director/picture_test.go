package director

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/lvs"
)

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

func services(all ...conf.VirtualServer) *conf.Config { return &conf.Config{VirtualServers: all} }

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
	for _, in := range c.Instances {
		lines = append(lines, fmt.Sprintf("%s instance %s%s", in.Kind, in.Instance, list(in.Settings)))
	}
	if len(c.Settings)+len(c.Restart) > 0 {
		lines = append(lines, fmt.Sprintf("settings%s restart%s", list(c.Settings), list(c.Restart)))
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
	instance := func(vrid, priority uint8) *conf.Config {
		return &conf.Config{VRRPInstances: []conf.VRRPInstance{{Name: "V", Interface: "eth0", VRID: vrid, Priority: priority, State: conf.Master}}}
	}
	fewer := instance(51, 100)
	fewer.VRRPInstances[0].State = conf.Backup
	secret := instance(51, 100)
	secret.VRRPInstances[0].Auth = conf.Auth{Type: conf.AuthPass, Password: "1111"}
	persistent := virtual(80, server("192.0.2.11"))
	persistent.PersistenceTimeout, persistent.Scheduler = time.Minute, lvs.SourceHash
	tests := []struct {
		name     string
		was, now *conf.Config
		want     string
	}{
		{"the same", services(virtual(80, server("192.0.2.11", tcp(80, 6)))), services(virtual(80, server("192.0.2.11", tcp(80, 6)))), ""},
		{"another order", services(virtual(80, server("192.0.2.11"), server("192.0.2.12")), virtual(81)), services(virtual(81), virtual(80, server("192.0.2.12"), server("192.0.2.11"))), ""},
		{"a weight", services(virtual(80, server("192.0.2.11"))), services(virtual(80, weighing(server("192.0.2.11"), 3))),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [weight: 1 > 3]"},
		{"servers come and go", services(virtual(80, server("192.0.2.11"), server("192.0.2.12"))), services(virtual(80, server("192.0.2.13", alpha(tcp(80, 6))), server("192.0.2.12"), server("192.0.2.14", tcp(80, 6)))),
			"changed TCP 192.0.2.100:80\nremoved 192.0.2.11:80 touched\nadded 192.0.2.13:80 waits\nadded 192.0.2.14:80"},
		{"another method", services(virtual(80, server("192.0.2.11"))), services(virtual(80, nat)),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [lvs_method: DR > NAT] touched"},
		{"services come and go", services(virtual(80, server("192.0.2.11"))), services(virtual(81, server("192.0.2.11"))),
			"added TCP 192.0.2.100:81\nadded 192.0.2.11:80\nremoved TCP 192.0.2.100:80\nremoved 192.0.2.11:80 touched"},
		{"a service's settings", services(virtual(80, server("192.0.2.11"))), services(persistent),
			"changed TCP 192.0.2.100:80 [lb_algo: rr > sh] [persistence_timeout: 0s > 1m0s]"},
		{"a group gets a service", services(group(web)), services(group(web, dns)),
			"changed group G (TCP 192.0.2.100:80, UDP 192.0.2.100:53) [service:  > UDP 192.0.2.100:53]"},
		{"a group loses one", services(group(web, dns)), services(group(dns)),
			"changed group G (UDP 192.0.2.100:53) [service: TCP 192.0.2.100:80 > ]"},
		{"a check's times", services(virtual(80, server("192.0.2.11", tcp(80, 6*time.Second)))), services(virtual(80, server("192.0.2.11", tcp(80, 9*time.Second)))),
			"changed TCP 192.0.2.100:80\nchanged 192.0.2.11:80 [checks: TCP_CHECK 192.0.2.1:80 every 6s, time-out 1s, 0 more tries after 0s > TCP_CHECK 192.0.2.1:80 every 9s, time-out 1s, 0 more tries after 0s]"},
		{"how a check begins is past", services(virtual(80, server("192.0.2.11", tcp(80, 6)))), services(virtual(80, server("192.0.2.11", alpha(tcp(80, 6))))), ""},
		{"a priority", instance(51, 100), instance(51, 90), "changed instance V [priority: 100 > 90]"},
		{"the state to begin in is past", instance(51, 100), fewer, ""},
		{"a password stays a secret", instance(51, 100), secret, "changed instance V [authentication: as it was > another]"},
		{"another VRID is another instance", instance(51, 100), instance(52, 100), "added instance V\nremoved instance V"},
		{"tables", &conf.Config{}, &conf.Config{Weir: conf.Weir{Tables: conf.Tables{Services: 16}}}, "settings restart [tables services: 0 > 16]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newFrom(tt.was, before{})
			plan := fmt.Sprintf("%+v", d.plan())
			next, changes := d.next(tt.now)
			if got := tell(changes); got != tt.want {
				t.Errorf("changes\n%s\nwant\n%s", got, tt.want)
			}
			if changes.Empty() != (tt.want == "") {
				t.Errorf("empty: %v", changes.Empty())
			}
			if again := fmt.Sprintf("%+v", d.plan()); again != plan {
				t.Errorf("the picture in force has changed: %s\nwas %s", again, plan)
			}
			// What was reached is what was wanted: there is nothing left to do.
			if _, more := next.next(tt.now); len(more.Services)+len(more.Instances)+len(more.Settings) > 0 {
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
			d := newDirector(nil, server("192.0.2.11", tt.was...))
			probe := d.pools[0].members[0].probes[0]
			if tt.down {
				d.checked(probe, check.Result{Reason: errors.New("refused")})
			}
			if _, err := d.reload(services(virtual(80, server("192.0.2.11", tt.now...)))); err != nil {
				t.Fatal(err)
			}
			if got := in(d) == "192.0.2.11"; got != tt.in {
				t.Errorf("in: %v, want %v", got, tt.in)
			}
			probes := d.pools[0].members[0].probes
			if goesOn := len(probes) > 0 && probes[0] == probe; goesOn != tt.goesOn {
				t.Errorf("its check goes on: %v, want %v", goesOn, tt.goesOn)
			}
			if len(probes) > 0 && !tt.goesOn && probes[0].check.Alpha != tt.proves {
				t.Errorf("it has to prove itself: %v, want %v", probes[0].check.Alpha, tt.proves)
			}
			// The verdict of a check that is gone comes too late.
			if then := d.checked(probe, check.Result{Reason: errors.New("late")}); !tt.goesOn && then != nil {
				t.Error("a check that is gone still counts")
			}
		})
	}
}

// New servers come behind those that stay, whatever the file's order: so they would
// have been added.
func TestServersKeepTheirPlaces(t *testing.T) {
	d := newDirector(nil, server("192.0.2.11"), server("192.0.2.12"))
	now := services(virtual(80, server("192.0.2.13"), server("192.0.2.12"), server("192.0.2.11")))
	if _, err := d.reload(now); err != nil {
		t.Fatal(err)
	}
	if got := in(d); got != "192.0.2.11 192.0.2.12 192.0.2.13" {
		t.Errorf("in are %q", got)
	}
}

// refusing is a data plane that refuses its n-th Set, and notes all of them.
type refusing struct {
	before
	sets    *[]lvs.Plan
	refuses int
	check   error
}

func (r refusing) Check(lvs.Plan) error { return r.check }

func (r refusing) Set(p lvs.Plan) error {
	if *r.sets = append(*r.sets, p); len(*r.sets) == r.refuses {
		return errors.New("no room")
	}
	return nil
}

// A reload that the data plane refuses leaves the picture as it was, and gives the
// data plane the plan of before again.
func TestRefusedReloadIsPutBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plane refusing
		sets  int
	}{
		{"by its check", refusing{check: errors.New("no room")}, 0},
		{"in the middle", refusing{refuses: 1}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.plane.sets = &[]lvs.Plan{}
			d := New(services(virtual(80, server("192.0.2.11", tcp(80, 6)))), tt.plane, nil, quiet())
			started := newFrom(services(), before{})
			d.start = started.start
			d.setProbes(d.pools)
			was, plan := d.pools, fmt.Sprintf("%+v", d.plan())
			_, err := d.reload(services(virtual(81, server("192.0.2.12"))))
			if err == nil || err.Error() != "no room; everything is as it was" {
				t.Errorf("error %v, want that there is no room and that nothing has changed", err)
			}
			if !slices.Equal(d.pools, was) || d.pools[0].members[0].probes[0].of == nil {
				t.Error("the picture has changed")
			}
			if len(*tt.plane.sets) != tt.sets {
				t.Fatalf("%d calls of Set, want %d", len(*tt.plane.sets), tt.sets)
			}
			if tt.sets > 0 && fmt.Sprintf("%+v", (*tt.plane.sets)[1]) != plan {
				t.Errorf("it ends with %+v, want what was before: %s", (*tt.plane.sets)[1], plan)
			}
		})
	}
}

// A virtual server that was not read again is not worked out again either, unless
// something that stands elsewhere has changed it.
func TestUnchangedPoolIsShared(t *testing.T) {
	vs := virtual(80, server("192.0.2.11"), server("192.0.2.12"))
	scheduler, rules, fewer := vs, vs, vs
	scheduler.Scheduler, rules.Rules.SloppyTCP, fewer.RealServers = lvs.DestinationHash, true, vs.RealServers[:1]
	d := New(services(vs), before{}, nil, quiet())
	for name, tt := range map[string]struct {
		now     conf.VirtualServer
		changes int
	}{"the same": {vs, 0}, "another scheduler": {scheduler, 1}, "other rules": {rules, 1}, "a server less": {fewer, 1}} {
		next, changes := d.next(services(tt.now))
		if shared := next.pools[0] == d.pools[0]; shared != (tt.changes == 0) || len(changes.Services) != tt.changes {
			t.Errorf("%s: the pool is shared: %v; changes %v", name, shared, changes.Services)
		}
	}
}
