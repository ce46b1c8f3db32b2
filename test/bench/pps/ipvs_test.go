package pps

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// besideRounds is the number of rounds of one run, besides one to warm up. In each, a way sends
// its frames in so many parts, between those of the others: a machine that is slower for some
// seconds is so for all of them.
const besideRounds, besideParts, ipvsFrames = 15, 5, 60_000

// way is one of those that are compared. All stand side by side in one director, which each of
// them reaches by a device of its own, so that none is loaded or removed between two parts.
type way struct{ name, from, to string }

var (
	byIPVS       = way{"ipvs", generatorDev, entryDev}
	byNative     = way{"weir_native", "gen1", "in1"}
	byTC         = way{"weir_tc", "gen2", "in2"}
	byFloor      = way{"floor", "gen3", "in3"}
	byDroppedTC  = way{"dropped_tc", "gen6", "in6"}
	byRedirectTC = way{"redirect_tc", "gen4", "in4"}
	byPeerTC     = way{"peer_tc", "gen5", "in5"}
)

// service is one that weir and IPVS have alike.
type service struct {
	name      string
	port      byte
	scheduler lvs.Scheduler
	method    lvs.ForwardMethod
	servers   int
	// Peer: the servers are those of a container, to whose end of its veth device tc may give
	// frames at once. The others are behind a device whose far end has an XDP program.
	peer bool
}

// ways are those by which the service is measured.
func (s service) ways() []way {
	if s.peer {
		return []way{byIPVS, byTC}
	}
	return []way{byIPVS, byNative, byTC}
}

// server is the address of the service's server of this number, and dev the director's device
// that leads to it.
func (s service) server(i int) (addr netip.Addr, dev string) {
	if s.peer {
		return netip.AddrFrom4([4]byte{198, 18, 0, byte(11 + i)}), "out1"
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), "out0"
}

// virtualServer is the service for weir.
func (s service) virtualServer() lvs.VirtualServer {
	v := lvs.VirtualServer{
		ServiceKey: lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: uint16(s.port)},
		Scheduler:  s.scheduler,
	}
	for i := range s.servers {
		addr, _ := s.server(i)
		v.RealServers = append(v.RealServers, lvs.RealServer{Addr: addr, Port: uint16(s.port), Weight: 1, Method: s.method})
	}
	return v
}

// ipvs gives the kernel's IPVS the service.
func (s service) ipvs(b *testing.B, n *network) {
	address := fmt.Sprintf("192.0.2.100:%d", s.port)
	lines := []string{fmt.Sprintf("-A -t %s -s %s", address, s.scheduler)}
	for i := range s.servers {
		addr, _ := s.server(i)
		method := map[lvs.ForwardMethod]string{lvs.DirectRoute: "-g", lvs.Masquerade: "-m"}[s.method]
		lines = append(lines, fmt.Sprintf("-a -t %s -r %s:%d %s -w 1", address, addr, s.port, method))
	}
	n.ipvsadmLines(b, lines)
}

// beside is the network with the kernel's IPVS, of which each service's address is, and the data
// plane, whose services come by devices of their own.
type beside struct {
	*network
	plane  *dataplane.Plane
	rounds map[string][]float64 // ns a frame, by what was measured
}

// buildBeside builds it, with a data plane for so many connections that has these services.
func buildBeside(b *testing.B, connections int, services []service) *beside {
	loadIPVS(b)
	n := &beside{network: build(b), rounds: map[string][]float64{}}
	n.forward(b)
	n.director.IP("addr", "add", "192.0.2.100/32", "dev", "lo")
	n.entry(b, byNative.from, byNative.to)
	n.entry(b, byTC.from, byTC.to)
	nstest.Veth(n.director, "out1", n.sink, "sink1")
	n.director.IP("addr", "add", "198.18.0.1/24", "dev", "out1")
	n.filter(b, n.sink, "sink1", n.programs.SinkTC())
	var neighbours []string
	var virtual []lvs.VirtualServer
	for _, s := range services {
		virtual = append(virtual, s.virtualServer())
		for i := range s.servers {
			addr, dev := s.server(i)
			neighbours = append(neighbours, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", addr, sinkMAC, dev))
		}
	}
	n.director.Batch(neighbours...)
	n.plane = n.network.plane(b, connections)
	n.set(b, n.plane, lvs.Plan{Services: virtual, Devices: []lvs.Device{
		{Name: byNative.to, Hook: lvs.HookNative}, {Name: byTC.to, Hook: lvs.HookTC},
	}})
	return n
}

// filter puts a program on a device at tc, where frames come in, as kernels before 6.6 have it.
func (n *network) filter(b *testing.B, ns *nstest.Namespace, dev string, program *ebpf.Program) {
	ns.Do(func() {
		i, err := net.InterfaceByName(dev)
		if err == nil {
			err = netlnk.SetFilter(i.Index, netlnk.FilterIngress, program.FD(), "floor")
		}
		if err != nil {
			b.Fatal(err)
		}
	})
}

// compare measures what a frame takes by each way, of so many frames, which send sends in parts.
func (n *beside) compare(b *testing.B, what string, ways []way, frames int, send func(by way, frames int)) {
	took, sunk := map[way]time.Duration{}, map[way]uint64{}
	for range besideParts {
		for _, by := range ways {
			n.from = by.from
			t, arrived := n.until(b, func() { send(by, frames/besideParts) })
			took[by] += t
			sunk[by] += arrived
		}
	}
	for _, by := range ways {
		name := what + by.name
		if sunk[by] < uint64(frames)/2 {
			b.Fatalf("%s: %d of %d frames arrived", name, sunk[by], frames)
		}
		n.rounds[name] = append(n.rounds[name], float64(took[by].Nanoseconds())/float64(sunk[by]))
	}
}

// settled is how long none more arrives after the last frame.
const settled = 20 * time.Millisecond

// until returns how long it was from the first frame that send sends to the arrival of the last,
// and how many have arrived.
func (n *beside) until(b *testing.B, send func()) (took time.Duration, sunk uint64) {
	before := n.arrived(b)
	send()
	took = time.Since(n.begun)
	for last := time.Now(); time.Since(last) < settled; runtime.Gosched() {
		if now := n.arrived(b) - before; now != sunk {
			last, sunk = time.Now(), now
			took = last.Sub(n.begun)
		}
	}
	return took, sunk
}

var ipvsServices = []service{
	{name: "dr", port: direct, scheduler: lvs.RoundRobin, method: lvs.DirectRoute, servers: 1},
	{name: "nat", port: masqueraded, scheduler: lvs.RoundRobin, method: lvs.Masquerade, servers: 1},
	{name: "peer/dr", port: 82, scheduler: lvs.RoundRobin, method: lvs.DirectRoute, servers: 1, peer: true},
	{name: "peer/nat", port: 83, scheduler: lvs.RoundRobin, method: lvs.Masquerade, servers: 1, peer: true},
}

// BenchmarkIPVS is `make bench-vm`: BenchmarkPPS beside the kernel's IPVS, by direct routing
// and NAT. Each figure is the median of the rounds.
func BenchmarkIPVS(b *testing.B) {
	n := buildBeside(b, 1<<16, ipvsServices)
	for _, s := range ipvsServices {
		s.ipvs(b, n.network)
		for _, by := range s.ways() {
			n.from = by.from
			n.establish(b, s.port)
		}
	}
	n.addFloors(b)
	for round := range 1 + besideRounds {
		n.floors(b)
		for _, s := range ipvsServices {
			n.compare(b, s.name+"/", s.ways(), ipvsFrames, n.acks(b, s.port))
		}
		if round == 0 {
			clear(n.rounds)
		}
	}
	n.report(b)
}

// addFloors adds the devices of the floor programs.
func (n *beside) addFloors(b *testing.B) {
	for _, by := range []way{byFloor, byDroppedTC, byRedirectTC, byPeerTC} {
		n.entry(b, by.from, by.to)
	}
	closeWith(b, n.attach(b, n.director, byFloor.to, n.programs.Sink()))
	n.filter(b, n.director, byDroppedTC.to, n.programs.SinkTC())
	n.filter(b, n.director, byRedirectTC.to, n.programs.Redirect())
	n.filter(b, n.director, byPeerTC.to, n.programs.Peer())
}

// floors measures the floor programs.
func (n *beside) floors(b *testing.B) {
	for by, exit := range map[way]string{byFloor: "out0", byDroppedTC: "out0", byRedirectTC: "out0", byPeerTC: "out1"} {
		n.exit(b, exit)
		n.compare(b, "", []way{by}, ipvsFrames, n.acks(b, direct))
	}
}

// acks sends frames of the established flows.
func (n *beside) acks(b *testing.B, port byte) func(way, int) {
	return func(_ way, frames int) { n.send(b, n.packet(port, ackFlag), frames) }
}

// loadIPVS loads IPVS, of which a namespace has its own only where that is done before the
// namespace is made.
func loadIPVS(b *testing.B) {
	if out, err := exec.Command("modprobe", "ip_vs").CombinedOutput(); err != nil {
		b.Fatalf("this kernel has no IPVS; make bench-vm starts a guest that has: %v\n%s", err, out)
	}
}

// ipvsadmLines runs ipvsadm once for several commands.
func (n *network) ipvsadmLines(b *testing.B, lines []string) {
	n.director.Do(func() {
		restore := exec.Command("ipvsadm", "-R")
		restore.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := restore.CombinedOutput(); err != nil {
			b.Fatalf("ipvsadm -R: %v\n%s", err, out)
		}
	})
}

func (n *network) ipvsadm(b *testing.B, args ...string) {
	n.director.Do(func() {
		if out, err := exec.Command("ipvsadm", args...).CombinedOutput(); err != nil {
			b.Fatalf("ipvsadm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	})
}

// report tells the medians.
func (n *beside) report(b *testing.B) {
	for name, figures := range n.rounds {
		b.Run(name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(slices.Sorted(slices.Values(figures))[len(figures)/2], "ns/packet")
		})
	}
}
