// Package surround changes a machine's devices, addresses, routes and neighbours under a
// running weir, and compares what weir has set up then with what a start would set up. Its
// tests need root.
package surround

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/cluster"
	"weir/internal/director"
	"weir/internal/netlnk"
	"weir/test/binary"
)

// executable is the weir binary under test.
var executable string

func TestMain(m *testing.M) { binary.Main(m, &executable) }

var (
	sequences = flag.Int("sequences", 20, "how many random sequences of changes TestConvergence makes; 500 is the long form")
	seed      = flag.Uint64("seed", 0, "the seed of the first sequence, each next one has the next number; 0 is a new one")
)

// Bounds of a settle: weir follows within 2 s of the last change; on a machine that is busy with
// other tests all takes longer.
const (
	followBound = 2 * time.Second
	slack       = 18 * time.Second
)

// perMachine is how many sequences one weir process goes through.
const perMachine = 10

// Whatever happens to the machine's devices, addresses, routes and neighbours, a running weir
// is where a freshly started one would be.
func TestConvergence(t *testing.T) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano()) % 1_000_000
	}
	var slowest time.Duration
	changes := map[string]int{}
	for from := 0; from < *sequences; from += perMachine {
		m := newMachine(t, fmt.Sprintf("m%d", from/perMachine))
		m.start(configuration)
		for n := from; n < min(from+perMachine, *sequences); n++ {
			s := first + uint64(n)
			m.reset()
			m.random = rand.New(rand.NewPCG(s, 0))
			if m.text != configuration {
				m.reload(configuration)
			}
			m.history = nil
			for range 1 + m.random.IntN(3) {
				for range 1 + m.random.IntN(6) {
					kind := m.change()
					changes[kind]++
				}
				took, why := m.settle()
				slowest = max(slowest, took)
				if why != "" {
					t.Fatalf("seed %d (sequence %d from -seed %d): after\n  %s\nit is not where a start would be within %s:\n%s\nlog:\n%s",
						s, n, first, strings.Join(m.history, "\n  "), followBound+slack, why, m.tail())
				}
			}
		}
		m.stop()
		m.wantNoDrift()
		if err := os.RemoveAll(m.pins); err != nil { // tables take memory while they are pinned
			t.Fatal(err)
		}
	}
	t.Logf("%d sequences from seed %d, the slowest settle took %s; changes: %v", *sequences, first, slowest.Round(time.Millisecond), changes)
}

// Changes that random sequences have found weir to follow wrongly, and others of the kind.
func TestChanges(t *testing.T) {
	m := newMachine(t, "near")
	m.start(configuration)
	for _, tt := range []struct {
		name    string
		changes []string // by ip in the near namespace, or, after "far", in the other one
	}{
		{"a device comes back from another namespace under another number", []string{
			"link set eth0 netns FAR", "far link set eth0 netns NEAR", "link set eth0 up", "addr add 10.1.0.1/24 dev eth0",
		}},
		{"a device is made anew under its number", []string{
			"link del eth0", "link add name eth0 index INDEX type veth peer name p0 netns FAR", "far link set p0 up",
			"link set eth0 up", "addr add 10.1.0.1/24 dev eth0",
		}},
		{"a device keeps its programs by another name", []string{"addr add 10.3.0.9/24 dev eth1", "link set eth2 name eth8", "link set eth8 up"}},
		{"two devices change their names", []string{
			"link set eth0 name eth8", "link set eth1 name eth0", "link set eth8 name eth1", "link set eth0 up", "link set eth1 up",
		}},
		{"a port of a bridge, whose neighbours are lost, gets another address", []string{
			"link set eth1 master br0", "link set eth1 address 02:00:00:00:00:04",
		}},
		{"the VIPs' device is a port of a bridge", []string{"link set eth0 master br0"}},
		{"the source is taken away and comes back on another device", []string{"addr del 10.3.0.1/24 dev eth2", "addr add 10.3.0.1/24 dev eth1"}},
	} {
		m.mixed = true
		m.reset()
		if _, why := m.settle(); why != "" {
			t.Fatalf("%s: before it\n%s\nlog:\n%s", tt.name, why, m.tail())
		}
		l, err := m.look().Link("eth0")
		if err != nil {
			t.Fatal(err)
		}
		// The number is taken in the other namespace, or was already.
		m.try(m.far, "link del taken")
		m.try(m.far, fmt.Sprintf("link add name taken index %d type veth peer name taken1", l.Index))
		m.history = nil
		with := strings.NewReplacer("FAR", m.far.Name, "NEAR", m.near.Name, "INDEX", fmt.Sprint(l.Index))
		for _, c := range tt.changes {
			c, far := strings.CutPrefix(with.Replace(c), "far ")
			if far {
				m.try(m.far, c)
			} else {
				m.try(m.near, c)
			}
		}
		if refused := strings.Join(m.history, "\n"); strings.Contains(refused, "(refused)") {
			t.Fatalf("%s:\n%s", tt.name, refused)
		}
		took, why := m.settle()
		if why != "" {
			t.Fatalf("%s: it is not where a start would be within %s:\n%s\nlog:\n%s", tt.name, followBound+slack, why, m.tail())
		}
		t.Logf("%s: followed after %s", tt.name, took.Round(time.Millisecond))
	}
	m.stop()
	m.wantNoDrift()
}

// wantNoDrift looks for changes of devices that weir's log has as drift: they are told once, as
// changes of the machine's surroundings. Nobody has taken programs off.
func (m *machine) wantNoDrift() {
	m.t.Helper()
	log, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "drift") && strings.Contains(line, "attachments") {
			m.t.Errorf("told as drift: %s", line)
		}
	}
}

// configuration has what depends on the surroundings: instances on three interfaces, of which
// one is master at once, servers behind NAT by a route, a server that is this machine, a
// tunnel, and a service without an instance.
const configuration = `vrrp_instance V {
  interface eth0
  virtual_router_id 1
  priority 255
  advert_int 1
  virtual_ipaddress {
    10.1.0.100
    10.2.0.100/24 dev eth1
  }
  virtual_ipaddress_excluded {
    2001:db8:1::100/64 dev eth1
  }
}
vrrp_instance W {
  interface eth1
  virtual_router_id 2
  priority 100
  advert_int 1
  virtual_ipaddress {
    10.2.0.101
    10.3.0.101 dev eth2 no_track
  }
}
vrrp_instance X {
  interface eth2
  virtual_router_id 3
  priority 255
  advert_int 1
  unicast_src_ip 10.3.0.1
  unicast_peer {
    10.3.0.254
  }
  virtual_ipaddress {
    10.3.0.102/24
  }
}
vrrp_instance Y {
  interface eth1
  virtual_router_id 4
  priority 255
  advert_int 1
  virtual_ipaddress {
    2001:db8:2::200
  }
}
virtual_server 10.1.0.100 80 {
  lb_algo rr
  lb_kind NAT
  protocol TCP
  real_server 10.9.0.31 80 {
  }
  real_server 10.3.0.31 80 {
  }
}
virtual_server 10.2.0.100 80 {
  lb_algo rr
  lb_kind DR
  protocol TCP
  real_server 10.2.0.31 80 {
  }
  real_server 10.1.0.7 80 {
  }
}
virtual_server 10.3.0.200 80 {
  lb_algo rr
  lb_kind TUN
  protocol TCP
  real_server 10.9.0.32 80 {
  }
  real_server 10.3.0.2 80 {
  }
}
`

// settle waits until weir is where a start would be, and says how long that took. Why says
// what is different when it is not within the bound.
func (m *machine) settle() (took time.Duration, why string) {
	begun, last := time.Now(), ""
	for {
		if why = m.differs(); why == "" {
			if took = time.Since(begun); took > followBound {
				m.t.Logf("settled after %s; until then\n%safter\n  %s", took.Round(time.Millisecond), last, strings.Join(m.history, "\n  "))
			}
			return took, ""
		}
		last = why
		if time.Since(begun) > followBound+slack {
			return time.Since(begun), why
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// differs says how what weir has differs from what a start would set up, "" where it does not.
func (m *machine) differs() string {
	want := m.computed()
	got, err := m.client.State(m.t.Context())
	if err != nil {
		m.t.Fatalf("%v\nlog:\n%s", err, m.tail())
	}
	// A start does not know neighbours that the running weir has learned.
	for i := range min(len(want.Servers), len(got.Servers)) {
		if want.Servers[i].To == "" {
			got.Servers[i].To = ""
		}
	}
	if g, w := text(m.t, got), text(m.t, want); g != w {
		return lines(g, w)
	}
	return strings.Join(append(m.wrongVIPs(), m.wrongPins(want)...), "\n")
}

// wrongVIPs are VIPs that are not where their instances' states have them.
func (m *machine) wrongVIPs() (wrong []string) {
	s, err := m.client.Snapshot(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, in := range s.Instances {
		if (in.State == cluster.Fault) != (in.Fault != "") {
			wrong = append(wrong, fmt.Sprintf("%s is %s with the fault %q", in.Name, in.State, in.Fault))
		}
		for _, c := range m.cfg.VRRPInstances {
			for _, v := range c.Addresses() {
				if c.Name == in.Name {
					wanted[v.Prefix.String()+" on "+v.Device] = in.State == cluster.Master
				}
			}
		}
	}
	p := m.look()
	for _, l := range p.Links() {
		for _, a := range p.Addresses(l.Name) {
			here := a.Prefix.String() + " on " + l.Name
			if may, known := wanted[here]; known && may {
				delete(wanted, here)
			} else if known || a.AddedBy == netlnk.AddedByWeir {
				wrong = append(wrong, "this machine has "+here)
			}
		}
	}
	for v, must := range wanted {
		_, device, _ := strings.Cut(v, " on ")
		if l, err := p.Link(device); must && err == nil && (!strings.Contains(v, "::") || l.Up && m.hasIPv6(device)) {
			wrong = append(wrong, "a master does not have "+v)
		}
	}
	return wrong
}

// wrongPins are programs that are not where the data plane is to be.
func (m *machine) wrongPins(want director.State) []string {
	var devices []string
	p := m.look()
	for _, d := range want.Devices {
		if l, err := p.Link(d.Name); err == nil {
			devices = append(devices, fmt.Sprint(l.Index))
		}
	}
	slices.Sort(devices)
	if pins := m.ingresses(); !slices.Equal(pins, devices) {
		return []string{fmt.Sprintf("programs are on the devices %v, want %v", pins, devices)}
	}
	return nil
}

func text(t *testing.T, s director.State) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", " ")
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// lines are those that two texts do not share.
func lines(got, want string) string {
	var out strings.Builder
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range g {
		if !slices.Contains(w, line) {
			fmt.Fprintln(&out, "weir has  ", line)
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) {
			fmt.Fprintln(&out, "a start has", line)
		}
	}
	return out.String()
}
