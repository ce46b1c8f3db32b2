package pps

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

// newServers is the number of real servers that share the new connections. A measurement
// begins newFrames of them, so many that the tables never fill, and newWarm before, which do
// not count.
const newServers, newFrames, newWarm, newRounds = 64, 20_000, 512, 7

// newService is one of the services that are measured.
type newService struct {
	name      string
	port      byte
	scheduler lvs.Scheduler
	method    lvs.ForwardMethod
}

var newServices = []newService{
	{"rr/dr", 80, lvs.RoundRobin, lvs.DirectRoute},
	{"rr/nat", 81, lvs.RoundRobin, lvs.Masquerade},
	{"wlc/dr", 82, lvs.WeightedLeastConnection, lvs.DirectRoute},
	{"wlc/nat", 83, lvs.WeightedLeastConnection, lvs.Masquerade},
}

// BenchmarkIPVSNew is the second part of `make bench-vm`: SYNs of ever new flows, which nobody
// answers, beside the kernel's IPVS. Before each measurement the table of the one that is
// measured is empty. IPVS is as the kernel has it by default, without conntrack. Each figure is
// the median of interleaved rounds.
func BenchmarkIPVSNew(b *testing.B) {
	loadIPVS(b)
	n := build(b)
	n.forward(b)
	n.director.IP("addr", "add", "192.0.2.100/32", "dev", "lo")
	var neighbours []string
	for i := range newServers {
		neighbours = append(neighbours, fmt.Sprintf("neigh replace %s lladdr %s dev out0 nud permanent", newServer(i), sinkMAC))
	}
	n.director.Batch(neighbours...)
	plane := n.plane(b, 1<<18)
	rounds := map[string][]float64{}
	for round := range 1 + newRounds {
		for _, s := range newServices {
			measure := func(by string) {
				rounds[s.name+"/"+by] = append(rounds[s.name+"/"+by], n.perNew(b, s, by))
			}
			// Between two measurements of IPVS are those of weir: the kernel frees IPVS's
			// connections for a while.
			n.set(b, plane, lvs.Plan{})
			s.ipvs(b, n)
			measure("ipvs")
			n.emptyIPVS(b)
			for by, hook := range map[string]lvs.Hook{"weir_native": lvs.HookNative, "weir_tc": lvs.HookTC} {
				n.set(b, plane, newPlan(hook))
				measure(by)
				n.emptyWeir(b, plane)
			}
		}
		if round == 0 {
			clear(rounds)
		}
	}
	report(b, rounds)
}

func newServer(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}) }

// newPlan has all services, at a hook of the director's device.
func newPlan(hook lvs.Hook) lvs.Plan {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "in0", Hook: hook}}}
	for _, s := range newServices {
		service := lvs.VirtualServer{
			ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: uint16(s.port)},
			Scheduler:  s.scheduler,
		}
		for i := range newServers {
			service.RealServers = append(service.RealServers, lvs.RealServer{Addr: newServer(i), Port: uint16(s.port), Weight: 1, Method: s.method})
		}
		plan.Services = append(plan.Services, service)
	}
	return plan
}

// ipvs gives the kernel's IPVS the service.
func (s newService) ipvs(b *testing.B, n *network) {
	address := fmt.Sprintf("192.0.2.100:%d", s.port)
	lines := []string{fmt.Sprintf("-A -t %s -s %s", address, s.scheduler)}
	for i := range newServers {
		method := map[lvs.ForwardMethod]string{lvs.DirectRoute: "-g", lvs.Masquerade: "-m"}[s.method]
		lines = append(lines, fmt.Sprintf("-a -t %s -r %s:%d %s -w 1", address, newServer(i), s.port, method))
	}
	n.ipvsadmLines(b, lines)
}

// perNew sends SYNs of new flows, and returns the time in nanoseconds divided by the number of
// those that arrived at a server. All are of a client that has sent nothing before.
func (n *network) perNew(b *testing.B, s newService, by string) float64 {
	n.client++
	n.fresh(b, s.port, 0, newWarm)
	before := n.arrived(b)
	begun := time.Now()
	n.fresh(b, s.port, newWarm, newFrames)
	took := time.Since(begun)
	got := n.arrived(b) - before
	if got < newFrames/10 {
		b.Fatalf("%s/%s: %d of %d frames arrived", s.name, by, got, newFrames)
	}
	return float64(took.Nanoseconds()) / float64(got)
}

// fresh sends a SYN of each of so many flows of the client, from this one on. The generator writes
// addresses and leaves the IP header's checksum, which IPVS looks at, as it is.
func (n *network) fresh(b *testing.B, port byte, first, count uint32) {
	n.sendFlows(b, n.packetOf(n.client, port, synFlag), floor.Flows{Count: 1 << 31, First: n.client*flowsOfClient + first}, int(count))
}

// emptyIPVS removes the services, and their connections, which otherwise stay for a minute.
func (n *network) emptyIPVS(b *testing.B) {
	n.director.Do(func() {
		if tracked, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count"); err != nil || strings.TrimSpace(string(tracked)) != "0" {
			b.Fatalf("conntrack is not off beside IPVS: it follows %q connections, %v", tracked, err)
		}
	})
	n.expireNoDest(b, "1")
	n.ipvsadm(b, "-C")
	nstest.WaitFor(b, "IPVS has no connection any more", func() (empty bool) {
		n.director.Do(func() {
			all, err := os.ReadFile("/proc/thread-self/net/ip_vs_conn")
			if err != nil {
				b.Fatal(err)
			}
			empty = strings.Count(string(all), "\n") <= 1 // the heading
		})
		return empty
	})
	n.expireNoDest(b, "0")
}

// expireNoDest sets whether IPVS forgets the connections of a server that is removed. That is off
// by default.
func (n *network) expireNoDest(b *testing.B, value string) {
	n.director.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/vs/expire_nodest_conn", []byte(value), 0o644); err != nil {
			b.Fatal(err)
		}
	})
}

// emptyWeir ends all of the data plane's connections. Before, it makes sure that there were
// those that were measured.
func (n *network) emptyWeir(b *testing.B, plane *dataplane.Plane) {
	live := func() (all int) {
		stats, err := plane.Stats()
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range stats.Servers {
			all += s.Active + s.Inactive
		}
		return all
	}
	if got := live(); got < newFrames/10 {
		b.Fatalf("%d connections were begun, want %d", got, newFrames)
	}
	all := lvs.AccessRule{Network: netip.MustParsePrefix("10.0.0.0/8")}
	n.director.Do(func() {
		if err := plane.AddRule(all, true, 0); err != nil {
			b.Fatal(err)
		}
		if _, err := plane.RemoveRule(all, true); err != nil {
			b.Fatal(err)
		}
	})
	if got := live(); got != 0 {
		b.Fatalf("%d connections are left, want none", got)
	}
}

// report tells the medians.
func report(b *testing.B, rounds map[string][]float64) {
	for name, figures := range rounds {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(slices.Sorted(slices.Values(figures))[len(figures)/2], "ns/packet")
		})
	}
}
