package interop

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// The matrix: how weir and the real keepalived, two directors of one segment, pass the VIPs
// from one to the other, in every mode of the protocol.

var allCells = flag.Bool("all-cells", false, "run every event in every mode, not one of each mode")

// mode is how the directors speak.
type mode struct {
	name     string
	version  int
	auth     string // auth_type; "" is none
	ipv6     bool
	unicast  bool
	interval time.Duration
}

func (m mode) String() string {
	cast := "multicast"
	if m.unicast {
		cast = "unicast"
	}
	return m.name + " " + cast
}

// skew is the skew time of a priority.
func (m mode) skew(priority int) time.Duration {
	unit := time.Second
	if m.version == 3 {
		unit = m.interval
	}
	return time.Duration(256-priority) * unit / 256
}

func modes() (all []mode) {
	for _, m := range []mode{
		{name: "v2 none", version: 2, interval: time.Second},
		{name: "v2 PASS", version: 2, auth: "PASS", interval: time.Second},
		{name: "v2 AH", version: 2, auth: "AH", interval: time.Second},
		{name: "v3 IPv4", version: 3, interval: 400 * time.Millisecond},
		{name: "v3 IPv6", version: 3, ipv6: true, interval: 400 * time.Millisecond},
	} {
		all = append(all, m)
		m.unicast = true
		all = append(all, m)
	}
	return all
}

// events are what happens to the master, in the order of the table.
var events = []string{"killed", "stopped", "machine dead", "priority", "restart, preempt", "restart, nopreempt"}

const (
	high, low, lower = 110, 100, 50
	// slack is how much longer a step may take than the protocol's times: the machine of the
	// tests may be busy with much else. What it took stands in the table.
	slack = 5 * time.Second
)

// side is a director of a cell.
type side struct {
	*host
	*program
	name     string // weir or keepalived
	own      netip.Addr
	priority int
	weir     *weir // of weir, which runs in this process
	owner    *owner
}

// cell is one row of the table.
type cell struct {
	mode
	master, event string

	segment       *segment
	first, second *side // first is the master
	vip           netip.Addr
	watch         *watch
}

// row is what came of a cell.
type row struct {
	cell                 string
	expected, took, both time.Duration
	failed               bool
}

// TestMatrix prints a table of all cells, each with the time that the protocol allows, the
// time that it took, and for how long both had the VIP.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var rows []row
	t.Cleanup(func() {
		slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.cell, b.cell) })
		var text strings.Builder
		w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "cell\texpected\ttook\tboth had it")
		for _, r := range rows {
			mark := ""
			if r.failed {
				mark = "FAILED"
			}
			fmt.Fprintf(w, "%s\t%v\t%v\t%v\t%s\n", r.cell, r.expected.Round(time.Millisecond), r.took.Round(time.Millisecond), r.both.Round(time.Millisecond), mark)
		}
		w.Flush()
		t.Logf("%d cells, slack %s:\n%s", len(rows), slack, text.String())
	})
	masters := []string{"weir", "keepalived"}
	for i, m := range modes() {
		for j, master := range masters {
			for k, event := range events {
				// One of each mode: the events and the masters go round.
				if !*allCells && (k != i%len(events) || j != (i/2+i)%2) {
					continue
				}
				c := cell{mode: m, master: master, event: event}
				name := fmt.Sprintf("%s, %s master, %s", m, master, event)
				t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
					t.Parallel()
					r := row{cell: name}
					defer func() {
						r.failed = t.Failed()
						mu.Lock()
						defer mu.Unlock()
						rows = append(rows, r)
					}()
					c.run(t, &r)
				})
			}
		}
	}
}

func (c *cell) run(t *testing.T, r *row) {
	c.segment = newSegment(t)
	c.vip = netip.MustParseAddr("192.168.25.100")
	if c.ipv6 {
		c.vip = fd25VIP
	}
	other := map[string]string{"weir": "keepalived", "keepalived": "weir"}[c.master]
	c.first, c.second = c.side(t, c.master, 31, high), c.side(t, other, 32, low)
	c.watch = watchVIP(t, c.vip, c.first.host, c.second.host)

	c.start(t, c.first)
	c.within(t, c.first.name+" is master", starting, 0)
	c.start(t, c.second)
	// The second one hears the first: otherwise it would take over.
	alone := c.watch.mark()
	time.Sleep(4 * c.interval)
	if both := c.watch.both(alone); both > 0 {
		t.Fatalf("%s does not listen to %s: both were master for %s", c.second.name, c.first.name, both)
	}
	before := c.watch.mark()
	r.expected, r.took = c.happen(t)
	if r.both = c.watch.both(before); r.both > c.interval+slack && !strings.Contains("killed machine dead", c.event) {
		t.Errorf("both had the VIP for %s, want at most %s", r.both, c.interval)
	}
}

// happen lets the event happen, and returns in what time the VIP was to move, and when it did.
func (c *cell) happen(t *testing.T) (expected, took time.Duration) {
	down, skew := 3*c.interval+c.skew(low), c.skew(low)
	switch c.event {
	case "killed":
		expected = down
		took = c.moves(t, down, func() { c.first.killAll(t) })
	case "machine dead":
		expected = down
		port, err := c.segment.sw.LinkByName(c.first.name)
		must(t, err)
		took = c.moves(t, down, func() { must(t, c.segment.sw.LinkSetDown(port)) })
	case "stopped":
		expected = skew
		took = c.moves(t, skew, func() { c.stop(c.first) })
	case "priority":
		// The master says its new priority at once; the other one waits for its timer.
		expected = down + c.interval
		took = c.moves(t, expected, func() { c.prioritize(t, c.first, lower) })
	default:
		expected = skew
		took = c.moves(t, skew, func() { c.stop(c.first) })
		c.start(t, c.first)
		if c.event == "restart, nopreempt" {
			holdsFor(t, c.second.name+" stays master", 5*c.interval+c.skew(high)+time.Second, func() bool { return c.watch.owner() == 1 })
			break
		}
		expected = 3*c.interval + c.skew(high)
		took = c.within(t, c.first.name+" preempts", expected+starting, 0)
	}
	// Both stay as they are.
	owner := c.watch.owner()
	holdsFor(t, "the VIP stays", 2*c.interval, func() bool { return c.watch.owner() == owner })
	return expected, took
}

// moves waits until the second one has the VIP, and the first one not; one that was killed,
// or cannot be reached, may keep it.
func (c *cell) moves(t *testing.T, expected time.Duration, do func()) time.Duration {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	took := eventually(t, c.second.name+" is master", expected+slack, func() bool { return c.watch.has(1) })
	<-done
	if c.event != "killed" && c.event != "machine dead" {
		eventually(t, c.first.name+" is not", starting, func() bool { return !c.watch.has(0) })
	} else {
		c.watch.forget(0)
	}
	return took
}

// within waits until one of the directors alone has the VIP.
func (c *cell) within(t *testing.T, what string, d time.Duration, which int) time.Duration {
	t.Helper()
	return eventually(t, what, d, func() bool { return c.watch.owner() == which })
}

// side makes a director's machine.
func (c *cell) side(t *testing.T, name string, last, priority int) *side {
	h := c.segment.host(t, name, fmt.Sprintf("192.168.25.%d", last))
	s := &side{host: h, name: name, own: h.addr, priority: priority}
	if c.ipv6 {
		s.own = netip.MustParseAddr(fmt.Sprintf("fd25::%d", last))
		must(t, h.AddrAdd(h.dev, &netlink.Addr{IPNet: &net.IPNet{IP: s.own.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}))
		eventually(t, "there is a link-local address", starting, func() bool { return h.linkLocal(t).IsValid() })
	}
	return s
}

// linkLocal is a host's own link-local address; invalid while none can be used.
func (h *host) linkLocal(t *testing.T) netip.Addr {
	list, err := h.AddrList(h.dev, netlink.FAMILY_V6)
	must(t, err)
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && addr.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 && addr != netip.MustParseAddr("fe80::100") {
			return addr
		}
	}
	return netip.Addr{}
}

// config is keepalived's file.
func (c *cell) config(s *side) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("vrrp_instance VI_1 {\nstate BACKUP\ninterface ens160\nvirtual_router_id 51\ngarp_master_delay 1\nversion %d", c.version)
	line("priority %d\nadvert_int %g", s.priority, c.interval.Seconds())
	if c.event == "restart, nopreempt" {
		line("nopreempt")
	}
	if c.auth != "" {
		line("authentication {\nauth_type %s\nauth_pass 1111\n}", c.auth)
	}
	if c.unicast {
		peer := c.first
		if s == c.first {
			peer = c.second
		}
		line("unicast_src_ip %s\nunicast_peer {\n%s\n}", s.own, peer.own)
	}
	line("virtual_ipaddress {")
	if c.ipv6 {
		line("fe80::100/64")
	}
	line("%s\n}\n}", c.vip)
	return b.String()
}

func (c *cell) start(t *testing.T, s *side) {
	if s.name == "keepalived" {
		s.program = startProgram(t, s.host, s.name, c.config(s))
		return
	}
	cfg, link := c.weirConfig(t, s)
	s.weir, s.owner = runWeir(t, s.host, cfg, link, c.vip)
}

// weirConfig is what weir makes of that file.
func (c *cell) weirConfig(t *testing.T, s *side) (vrrp.Config, vrrp.LinkConfig) {
	cfg := vrrp.Config{
		Name: "VI_1", Version: uint8(c.version), VRID: 51, Priority: uint8(s.priority), AdvertInterval: c.interval,
		VIPs: []netip.Addr{c.vip}, Source: s.own, NoPreempt: c.event == "restart, nopreempt", HandOver: vrrp.MaxSkewTime,
	}
	switch c.auth {
	case "PASS":
		cfg.Auth = vrrp.Password("1111")
	case "AH":
		cfg.Auth = vrrp.Key("1111")
	}
	if c.ipv6 {
		cfg.VIPs = []netip.Addr{netip.MustParseAddr("fe80::100"), c.vip}
	}
	if c.unicast {
		cfg.UnicastPeers = []netip.Addr{c.second.own}
		if s == c.second {
			cfg.UnicastPeers = []netip.Addr{c.first.own}
		}
	} else if c.ipv6 {
		cfg.Source = s.linkLocal(t)
	}
	return cfg, vrrp.LinkConfig{Interface: "ens160", VRID: 51, Source: cfg.Source, UnicastPeers: cfg.UnicastPeers, Auth: cfg.Auth}
}

// stop is a clean stop.
func (c *cell) stop(s *side) {
	if s.name == "weir" {
		s.weir.stop()
		return
	}
	s.program.stop()
}

// killAll ends every process of a director at once; of weir, which runs in this process, its
// sockets and its state machine. Its addresses stay.
func (s *side) killAll(t *testing.T) {
	if s.name == "keepalived" {
		(&keepalived{s.program}).kill(t)
		return
	}
	s.owner.dead.Store(true)
	must(t, s.weir.link.Close())
	s.weir.stop()
}

// prioritize gives a running director another priority.
func (c *cell) prioritize(t *testing.T, s *side, priority int) {
	if s.priority = priority; s.name == "keepalived" {
		s.program.reload(t, c.config(s))
		return
	}
	cfg, _ := c.weirConfig(t, s)
	s.weir.Reconfigure(cfg, nil, nil)
}

// watch follows which hosts have an address.
type watch struct {
	mu    sync.Mutex
	since [2]time.Time // zero where it is not there
	spans []span       // that are over
}

// span is a time in which both had it.
type span struct{ from, to time.Time }

func watchVIP(t *testing.T, addr netip.Addr, hosts ...*host) *watch {
	t.Helper()
	w := &watch{}
	for i, h := range hosts {
		changes, done := make(chan netlink.AddrUpdate, 1024), make(chan struct{})
		must(t, netlink.AddrSubscribeAt(h.ns, changes, done))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for u := range changes {
				if a, ok := netip.AddrFromSlice(u.LinkAddress.IP); ok && a.Unmap() == addr {
					w.note(i, u.NewAddr)
				}
			}
		}()
		t.Cleanup(func() { close(done); <-ended })
	}
	return w
}

func (w *watch) note(i int, has bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if both, from := w.together(); both && !has {
		w.spans = append(w.spans, span{from, now})
	}
	switch {
	case !has:
		w.since[i] = time.Time{}
	case w.since[i].IsZero():
		w.since[i] = now
	}
}

func (w *watch) together() (bool, time.Time) {
	from := w.since[0]
	if w.since[1].After(from) {
		from = w.since[1]
	}
	return !w.since[0].IsZero() && !w.since[1].IsZero(), from
}

func (w *watch) mark() time.Time { return time.Now() }

// both is the longest time since then in which both had it.
func (w *watch) both(since time.Time) (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	spans := slices.Clone(w.spans)
	if both, from := w.together(); both {
		spans = append(spans, span{from, time.Now()})
	}
	for _, s := range spans {
		if s.from.Before(since) {
			s.from = since
		}
		longest = max(longest, s.to.Sub(s.from))
	}
	return longest
}

func (w *watch) has(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.since[i].IsZero()
}

// forget takes a host out that is out of reach.
func (w *watch) forget(i int) {
	w.note(i, false)
}

// owner is who alone has it; -1 is nobody, or both.
func (w *watch) owner() int {
	a, b := w.has(0), w.has(1)
	switch {
	case a && !b:
		return 0
	case b && !a:
		return 1
	}
	return -1
}

// fd25VIP is the VIP of IPv6.
var fd25VIP = netip.MustParseAddr("fd25::100")
