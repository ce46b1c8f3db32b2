package pps

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/dataplane"
	"weir/lvs"
)

// besideRounds is the number of rounds of one run, besides one to warm up. In each, a way sends
// its frames in so many parts, between those of the others: a machine that is slower for some
// seconds is so for all of them.
const besideRounds, besideParts, ipvsFrames = 15, 8, 40_000

// way is one of those that are compared. All stand side by side in one director, which each of
// them reaches by a device of its own, so that none is loaded or removed between two parts.
type way struct{ name, from, to string }

var (
	byFloor  = way{"floor", "gen3", "in3"}
	byIPVS   = way{"ipvs", generatorDev, entryDev}
	byNative = way{"weir_native", "gen1", "in1"}
	byTC     = way{"weir_tc", "gen2", "in2"}
)

// beside is the network with the kernel's IPVS, of which each service's address is, and the data
// plane, whose services come by devices of their own.
type beside struct {
	*network
	plane  *dataplane.Plane
	rounds map[string][]float64 // ns a frame, by what was measured
}

// buildBeside builds it, with a data plane for so many connections that has these services.
func buildBeside(b *testing.B, connections int, services []lvs.VirtualServer) *beside {
	loadIPVS(b)
	n := &beside{network: build(b), rounds: map[string][]float64{}}
	n.forward(b)
	n.director.IP("addr", "add", "192.0.2.100/32", "dev", "lo")
	n.entry(b, byNative.from, byNative.to)
	n.entry(b, byTC.from, byTC.to)
	var neighbours []string
	for _, s := range services {
		for _, r := range s.RealServers {
			neighbours = append(neighbours, fmt.Sprintf("neigh replace %s lladdr %s dev out0 nud permanent", r.Addr, sinkMAC))
		}
	}
	n.director.Batch(neighbours...)
	n.plane = n.network.plane(b, connections)
	n.set(b, n.plane, lvs.Plan{Services: services, Devices: []lvs.Device{
		{Name: byNative.to, Hook: lvs.HookNative}, {Name: byTC.to, Hook: lvs.HookTC},
	}})
	return n
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

// BenchmarkIPVS is `make bench-vm`: BenchmarkPPS beside the kernel's IPVS, by direct routing
// and NAT. Each figure is the median of the rounds.
func BenchmarkIPVS(b *testing.B) {
	n := buildBeside(b, 1<<16, oneServer())
	n.ipvs(b)
	n.entry(b, byFloor.from, byFloor.to)
	closeWith(b, n.attach(b, n.director, byFloor.to, n.programs.Sink()))
	ways := []way{byIPVS, byNative, byTC}
	for _, by := range ways {
		n.from = by.from
		n.establish(b, direct)
		n.establish(b, masqueraded)
	}
	for round := range 1 + besideRounds {
		send := func(port byte) func(way, int) {
			return func(_ way, frames int) { n.send(b, n.packet(port, ackFlag), frames) }
		}
		n.compare(b, "", []way{byFloor}, ipvsFrames, send(direct))
		n.compare(b, "dr/", ways, ipvsFrames, send(direct))
		n.compare(b, "nat/", ways, ipvsFrames, send(masqueraded))
		if round == 0 {
			clear(n.rounds)
		}
	}
	n.report(b)
}

// loadIPVS loads IPVS, of which a namespace has its own only where that is done before the
// namespace is made.
func loadIPVS(b *testing.B) {
	if out, err := exec.Command("modprobe", "ip_vs").CombinedOutput(); err != nil {
		b.Fatalf("this kernel has no IPVS; make bench-vm starts a guest that has: %v\n%s", err, out)
	}
}

// ipvs gives the kernel's IPVS the same services as weir's.
func (n *network) ipvs(b *testing.B) {
	for port, method := range map[int]string{direct: "-g", masqueraded: "-m"} {
		n.ipvsadm(b, "-A", "-t", fmt.Sprintf("192.0.2.100:%d", port), "-s", "rr")
		n.ipvsadm(b, "-a", "-t", fmt.Sprintf("192.0.2.100:%d", port), "-r", fmt.Sprintf("192.0.2.11:%d", port), method)
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
