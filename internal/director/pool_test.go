package director

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/lvs"
)

// before is a data plane that an earlier process left: only what it was serving
// is asked of it here.
type before map[lvs.ServiceKey][]netip.AddrPort

func (b before) Serving(key lvs.ServiceKey) ([]netip.AddrPort, bool) {
	servers, ok := b[key]
	return servers, ok
}
func (before) Directors() []net.HardwareAddr                        { return nil }
func (before) Report() (Report, error)                              { return Report{}, nil }
func (before) Set(lvs.Plan) error                                   { return nil }
func (before) Renew(lvs.InstanceID, time.Time, time.Duration) error { return nil }
func (before) Release(lvs.InstanceID) error                         { return nil }
func (before) Leased(lvs.InstanceID) (bool, error)                  { return false, nil }
func (before) Run(context.Context) error                            { return nil }
func (before) Check(lvs.Plan) error                                 { return nil }
func (before) Live(lvs.ServiceKey) map[netip.AddrPort]int           { return nil }

// quiet is a stream that nobody reads.
func quiet() *cluster.Stream { return cluster.NewStream(func(cluster.Event) {}) }

var web = lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}

func server(addr string, checks ...conf.Check) conf.RealServer {
	return conf.RealServer{Addr: netip.MustParseAddr(addr), Port: 80, Weight: 1, Method: lvs.DirectRoute, Checks: checks}
}

func newDirector(plane before, servers ...conf.RealServer) *Director {
	vs := conf.VirtualServer{Keys: []lvs.ServiceKey{web}, Scheduler: lvs.RoundRobin, RealServers: servers}
	return newFrom(&conf.Config{VirtualServers: []conf.VirtualServer{vs}}, plane)
}

// newFrom makes a director whose checks are said to run, and do not.
func newFrom(cfg *conf.Config, plane DataPlane) *Director {
	d := New(cfg, plane, nil, quiet())
	d.start = func(func(context.Context) error) context.CancelFunc { return func() {} }
	d.setProbes(d.pools)
	return d
}

// in names the servers that the plan has in the service.
func in(d *Director) string {
	var names []string
	for _, rs := range d.plan().Services[0].RealServers {
		names = append(names, rs.Addr.String())
	}
	return strings.Join(names, " ")
}

func TestServersAreInUntilACheckFails(t *testing.T) {
	twice := []conf.Check{{Kind: conf.CheckTCP}, {Kind: conf.CheckTCP}}
	d := newDirector(nil, server("192.0.2.11", twice...), server("192.0.2.12"), server("192.0.2.13", conf.Check{Kind: conf.CheckTCP, Timers: conf.Timers{Alpha: true}}))
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
		probe := d.pools[0].members[step.member].probes[step.check]
		then := d.checked(probe, check.Result{Up: step.reason == nil, Reason: step.reason})
		if (then != nil) != step.changes {
			t.Errorf("%s: changes %v, want %v", step.what, then != nil, step.changes)
		}
		if got := in(d); got != step.want {
			t.Errorf("%s: in are %q, want %q", step.what, got, step.want)
		}
	}
}

// A process that takes up another's work begins with the servers that were in.
func TestServersThatWereOutStayOutUntilTheyPassACheck(t *testing.T) {
	was := before{web: {netip.MustParseAddrPort("192.0.2.11:80")}}
	d := newDirector(was, server("192.0.2.11", conf.Check{Kind: conf.CheckTCP}), server("192.0.2.12", conf.Check{Kind: conf.CheckTCP, Timers: conf.Timers{Warmup: time.Minute}}), server("192.0.2.13"))
	if got := in(d); got != "192.0.2.11 192.0.2.13" {
		t.Errorf("in are %q; want .11, which was in, and .13, which nothing checks", got)
	}
	for i, m := range d.pools[0].members[:2] {
		if c := m.probes[0].check; c.Alpha != (i == 1) || c.Warmup != 0 {
			t.Errorf("%s: alpha %v, warm-up %s; want .12 alone to prove itself, and at once", m.server.Addr, c.Alpha, c.Warmup)
		}
	}
	d.checked(d.pools[0].members[1].probes[0], check.Result{Up: true})
	if got := in(d); got != "192.0.2.11 192.0.2.12 192.0.2.13" {
		t.Errorf("in are %q after .12 passed", got)
	}
}

func TestPlanNamesDevicesOnce(t *testing.T) {
	d := newDirector(nil, server("192.0.2.11"))
	d.cfg.Weir.Devices = []conf.Device{{Name: "ens160", Hook: lvs.HookNative}}
	d.cfg.VRRPInstances = []conf.VRRPInstance{{
		Interface: "ens160", VRID: 51,
		VIPs: []conf.VIP{{Prefix: netip.MustParsePrefix("192.0.2.100/32"), Device: "ens192"}},
	}}
	plan := d.plan()
	want := []lvs.Device{{Name: "ens160", Hook: lvs.HookNative}, {Name: "ens192", Hook: lvs.HookAuto}}
	if len(plan.Devices) != 2 || plan.Devices[0] != want[0] || plan.Devices[1] != want[1] {
		t.Errorf("devices %+v, want %+v", plan.Devices, want)
	}
	if len(plan.Instances) != 1 || plan.Instances[0].VIPs[0] != web.Addr {
		t.Errorf("instances %+v, want the VIP of the service", plan.Instances)
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
	d := newFrom(&conf.Config{VirtualServers: []conf.VirtualServer{vs}}, before{})
	d.checked(d.pools[0].members[0].probes[0], check.Result{Reason: errors.New("refused")})
	services := d.plan().Services
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
