package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/bfd"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/netlnk"
	"weir/internal/netlnk/fakenet"
	"weir/internal/vip"
	"weir/internal/vmac"
	"weir/lvs"
	"weir/vrrp"
)

// site is a segment with directors on it, within a synctest bubble.
type site struct {
	t       *testing.T
	segment *fakenet.Segment
	down    *outage
}

// simulate runs the body in a bubble of its own.
func simulate(t *testing.T, body func(*testing.T, *site)) {
	synctest.Test(t, func(t *testing.T) {
		body(t, &site{t: t, segment: fakenet.NewSegment(), down: &outage{}})
	})
}

// outage is which real servers fail their checks.
type outage struct {
	mu      sync.Mutex
	servers map[netip.AddrPort]bool
}

func (o *outage) set(server string, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.servers == nil {
		o.servers = map[netip.AddrPort]bool{}
	}
	o.servers[netip.MustParseAddrPort(server)] = down
}

// asked is a check of the site's real servers.
type asked struct {
	spec   conf.Check
	outage *outage
}

func (a asked) String() string { return string(a.spec.Kind) + " " + a.spec.Connect.String() }

func (a asked) Check(context.Context) (check.Weight, error) {
	a.outage.mu.Lock()
	defer a.outage.mu.Unlock()
	if a.outage.servers[a.spec.Connect] {
		return check.Weight{}, errors.New("connection refused")
	}
	return check.Weight{}, nil
}

// counting is a data plane that has counted something, or cannot say.
type counting struct {
	*fakenet.Machine
	report Report
	err    error
}

func (c counting) Report() (Report, error) { return c.report, c.err }

// node is a director on a machine.
type node struct {
	*Director
	t       *testing.T
	machine *fakenet.Machine
	real    *told
	ended   chan error
	cancel  context.CancelFunc

	mu    sync.Mutex
	lines []string // of the log, without times
}

// sessions are those of a speaker of BFD that speaks with nobody.
type sessions struct {
	mu  sync.Mutex
	set []bfd.Config
}

func (s *sessions) Set(all []bfd.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = all
	return nil
}

// Report has all sessions down whose path has failed.
func (s *sessions) Report() (all []bfd.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.set {
		all = append(all, bfd.Report{Name: c.Name, Neighbor: c.Neighbor, Status: bfd.Status{Been: true, Diagnostic: bfd.DetectionTimeExpired}})
	}
	return all
}

func (s *sessions) Follow(ctx context.Context, _ string, report func(bfd.Status)) {
	report(bfd.Status{})
	<-ctx.Done()
}

// on is what a director on this machine reaches.
func (s *site) on(m *fakenet.Machine, real Real) Machine {
	return Machine{
		Plane: Plane{Forwarder: m, Leases: m, Left: m, Counters: counting{Machine: m}, Run: m.Run},
		Real:  real, VMACs: &vmacs{machine: m}, Secondaries: &secondaries{}, Addresses: m, Announcer: announcer{m}, Routes: routes{m}, Watch: m.Watch,
		BFD: func(*slog.Logger) Sessions { return &sessions{} },
		OpenLink: func(c vrrp.LinkConfig, _ *slog.Logger) (ha.Transport, error) {
			t, err := m.OpenLink(c)
			if err != nil {
				return nil, err
			}
			return t, nil
		},
	}
}

type announcer struct{ *fakenet.Machine }

func (a announcer) Open(device string) (vip.Speaker, error) { return a.OpenSpeaker(device) }

type routes struct{ *fakenet.Machine }

func (r routes) Resolver() (Resolver, error) { return r.Machine, nil }

// add makes a director on a machine; start starts it.
func (s *site) add(m *fakenet.Machine, cfg *conf.Config) *node {
	n := &node{t: s.t, machine: m, real: &told{}}
	stream := cluster.NewStream(func(e cluster.Event) {
		n.mu.Lock()
		defer n.mu.Unlock()
		line := e.Message
		for _, d := range e.Details {
			line += fmt.Sprintf(" %s=%v", d.Name, d.Value)
		}
		n.lines = append(n.lines, line)
	})
	n.Director = New(cfg, s.on(m, n.real), stream)
	n.checks.New = func(c conf.Check) check.Checker { return asked{c, s.down} }
	return n
}

func (n *node) start() *node {
	ctx, cancel := context.WithCancel(n.t.Context())
	n.cancel, n.ended = cancel, make(chan error, 1)
	go func() { n.ended <- n.Run(ctx) }()
	synctest.Wait()
	return n
}

// stop is a clean stop.
func (n *node) stop() {
	n.t.Helper()
	n.cancel()
	if err := <-n.ended; err != nil {
		n.t.Errorf("Run: %v, want nil after a cancelled context", err)
	}
}

// logged counts the lines that begin so.
func (n *node) logged(prefix string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, line := range n.lines {
		if strings.HasPrefix(line, prefix) {
			count++
		}
	}
	return count
}

// wantLogged wants so many lines that begin so.
func (n *node) wantLogged(prefix string, want int) {
	n.t.Helper()
	if got := n.logged(prefix); got != want {
		n.t.Errorf("%d lines %q, want %d; the log:\n%s", got, prefix, want, strings.Join(n.lines, "\n"))
	}
}

// vips are eth0's addresses but for the machine's own, sorted.
func vips(t *testing.T, m *fakenet.Machine) string {
	t.Helper()
	var list []string
	for _, p := range m.Prefixes("eth0")[1:] {
		list = append(list, p.String())
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// want holds a director to a state, the VIPs that it has, and whether it is leased.
func (n *node) want(state cluster.State, addresses string) {
	n.t.Helper()
	synctest.Wait()
	s, err := n.Snapshot(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	if got := s.Instances[0].State; got != state {
		n.t.Errorf("it is %s, want %s", got, state)
	}
	if got := vips(n.t, n.machine); got != addresses {
		n.t.Errorf("it has %q, want %q", got, addresses)
	}
	leased, err := n.machine.Leased(s.Instances[0].ID)
	if err != nil || leased != (state == cluster.Master) {
		n.t.Errorf("leased: %v, %v as %s", leased, err, state)
	}
}

// vrrpOn is an instance on eth0 with these VIPs.
func vrrpOn(vrid, priority uint8, addresses ...string) conf.VRRPInstance {
	c := conf.VRRPInstance{
		Name: fmt.Sprintf("VI_%d", vrid), Interface: "eth0", VRID: vrid, Priority: priority, AdvertInterval: time.Second,
	}
	for _, a := range addresses {
		c.VIPs = append(c.VIPs, conf.VIP{Prefix: netip.MustParsePrefix(a), Device: "eth0"})
	}
	return c
}

// cfg is a configuration with these instances, and the service web of two servers.
func cfg(instances ...conf.VRRPInstance) *conf.Config {
	c := services(virtual(80, server("192.0.2.11", tcp("192.0.2.11:80")), server("192.0.2.12", tcp("192.0.2.12:80"))))
	c.VRRPInstances = instances
	return c
}

var web = lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: 80}

func server(addr string, checks ...conf.Check) conf.RealServer {
	return conf.RealServer{Addr: netip.MustParseAddr(addr), Port: 80, Weight: 1, Method: lvs.DirectRoute, Checks: checks}
}

// tcp is a check of a port every six seconds, with one retry.
func tcp(target string) conf.Check {
	return conf.Check{
		Kind: conf.CheckTCP, Connect: netip.MustParseAddrPort(target),
		Timers: conf.Timers{DelayLoop: 6 * time.Second, ConnectTimeout: time.Second, Retry: 1, DelayBeforeRetry: time.Second},
	}
}

func virtual(port uint16, servers ...conf.RealServer) conf.VirtualServer {
	key := web
	key.Port = port
	return conf.VirtualServer{Keys: []lvs.ServiceKey{key}, Scheduler: lvs.RoundRobin, RealServers: servers}
}

func services(all ...conf.VirtualServer) *conf.Config { return &conf.Config{VirtualServers: all} }

// serving lists the servers of the machine's first service.
func serving(m *fakenet.Machine) string {
	var names []string
	for _, rs := range m.Plan().Services[0].RealServers {
		names = append(names, rs.Addr.String())
	}
	return strings.Join(names, " ")
}

// nothing is a data plane that no earlier process has used.
type nothing struct{}

func (nothing) Serving(lvs.ServiceKey) ([]netip.AddrPort, bool) { return nil, false }
func (nothing) Directors() []lvs.Director                       { return nil }

// vmacs makes devices on a machine; they are gone with the director's.
type vmacs struct {
	machine *fakenet.Machine
	made    []string
	// noIpvlan is of a kernel without ipvlan.
	noIpvlan atomic.Bool
}

func (v *vmacs) Make(wanted []vmac.Device) error {
	var errs []error
	for _, d := range wanted {
		switch {
		case slices.Contains(v.made, d.Name):
		case d.Ipvlan != "" && v.noIpvlan.Load():
			errs = append(errs, &vmac.Unmade{Device: d.Name, Err: fmt.Errorf("make %s: %w", d.Name, netlnk.ErrNoKind)})
		case d.Ipvlan != "":
			v.made = append(v.made, d.Name)
			v.machine.Plug(d.Name, 100+len(v.made), d.Addr.String())
		default:
			v.made = append(v.made, d.Name)
			v.machine.Plug(d.Name, 100+len(v.made), "fe80::1/64")
			v.machine.SetMAC(d.Name, d.MAC)
		}
	}
	return errors.Join(errs...)
}

// secondaries are the devices that keep further addresses.
type secondaries struct{ promoted []string }

func (s *secondaries) Promote(devices []string) error {
	for _, d := range devices {
		if !slices.Contains(s.promoted, d) {
			s.promoted = append(s.promoted, d)
		}
	}
	return nil
}

func (s *secondaries) PutBack(but []string) error {
	s.promoted = slices.DeleteFunc(s.promoted, func(d string) bool { return !slices.Contains(but, d) })
	return nil
}

func (v *vmacs) RemoveOthers(wanted []vmac.Device) (removed []string, err error) {
	v.made = slices.DeleteFunc(v.made, func(name string) bool {
		if slices.ContainsFunc(wanted, func(d vmac.Device) bool { return d.Name == name }) {
			return false
		}
		v.machine.Unplug(name)
		removed = append(removed, name)
		return true
	})
	return removed, nil
}
