package pps

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane"
	"weir/internal/dataplane/abi"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

// newServers is the number of real servers that share the new connections. A measurement
// begins newFrames of them by each way, so many that the tables never fill, and newWarm before,
// which do not count.
const newServers, newFrames, newWarm = 64, 20_000, 512

// newRoom is for so many connections that all of a measurement can be half open.
const newRoom = 1 << 19

var newServices = []service{
	{"rr/dr", 80, lvs.RoundRobin, lvs.DirectRoute, newServers, false},
	{"rr/nat", 81, lvs.RoundRobin, lvs.Masquerade, newServers, false},
	{"wlc/dr", 82, lvs.WeightedLeastConnection, lvs.DirectRoute, newServers, false},
	{"wlc/nat", 83, lvs.WeightedLeastConnection, lvs.Masquerade, newServers, false},
	{"peer/rr/dr", 84, lvs.RoundRobin, lvs.DirectRoute, newServers, true},
	{"peer/rr/nat", 85, lvs.RoundRobin, lvs.Masquerade, newServers, true},
	{"peer/wlc/dr", 86, lvs.WeightedLeastConnection, lvs.DirectRoute, newServers, true},
	{"peer/wlc/nat", 87, lvs.WeightedLeastConnection, lvs.Masquerade, newServers, true},
}

// lostOf is of how many frames that have begun a connection one may be lost: where the guest's
// other CPU stands still for a moment, the queue of the last device is full.
const lostOf = 100

// BenchmarkIPVSNew is the second part of `make bench-vm`: SYNs of ever new flows, which nobody
// answers, beside the kernel's IPVS. Before each measurement all tables are empty. IPVS is as
// the kernel has it by default, without conntrack. Each figure is the median of the rounds.
func BenchmarkIPVSNew(b *testing.B) {
	n := &beginning{beside: buildBeside(b, newRoom, newServices)}
	n.addFloors(b)
	n.grow(b)
	for round := range 1 + besideRounds {
		n.floors(b)
		for _, s := range newServices {
			s.ipvs(b, n.network)
			n.clients = map[way]uint32{}
			frames, conns := n.arrived(b), n.ipvsConns(b)
			for _, by := range s.ways() {
				n.until(b, func() { n.fresh(b, s.port, by, newWarm) })
			}
			n.compare(b, s.name+"/", s.ways(), newFrames, func(by way, frames int) { n.fresh(b, s.port, by, frames) })
			got, weir, ipvs := n.arrived(b)-frames, n.live(b), n.ipvsConns(b)-conns
			if begun := uint64(weir) + ipvs; got > begun || begun-got > begun/lostOf {
				b.Fatalf("%s: weir has begun %d connections and IPVS %d, but %d frames have arrived", s.name, weir, ipvs, got)
			}
			n.emptyWeir(b)
			n.emptyIPVS(b)
		}
		if round == 0 {
			clear(n.rounds)
		}
	}
	n.report(b)
}

// ipvsConns is how many connections IPVS has begun, by its counters of each CPU; the sum that the
// kernel tells is up to two seconds old.
func (n *beginning) ipvsConns(b *testing.B) (conns uint64) {
	n.director.Do(func() {
		all, err := os.ReadFile("/proc/thread-self/net/ip_vs_stats_percpu")
		if err != nil {
			b.Fatal(err)
		}
		each, _, _ := strings.Cut(string(all), "~")
		for _, line := range strings.Split(strings.TrimSpace(each), "\n")[2:] { // behind the headings
			of, err := strconv.ParseUint(strings.Fields(line)[1], 16, 64)
			if err != nil {
				b.Fatalf("ip_vs_stats_percpu: %v in %q", err, all)
			}
			conns += of
		}
	})
	return conns
}

// beginning is what new connections are measured with.
type beginning struct {
	*beside
	last    uint32         // the number of the last client
	clients map[way]uint32 // the next flow of each way's client
}

// grow has the data plane's tables grow to the size that they have with many connections, and
// waits until the first one is not asked any more.
func (n *beginning) grow(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go n.director.Do(func() { ended <- n.plane.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	n.clients = map[way]uint32{}
	n.until(b, func() { n.fresh(b, newServices[0].port, byNative, newFrames) })
	nstest.WaitFor(b, "the tables have grown", func() bool {
		i := slices.IndexFunc(n.plane.TableUses(), func(u dataplane.TableUse) bool { return u.Name == "connections" })
		u := n.plane.TableUses()[i]
		return u.Room == u.Most
	})
	n.emptyWeir(b)
	sizes, err := ebpf.LoadPinnedMap(filepath.Join(n.pins, abi.BpfVarSlotSizes), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer sizes.Close()
	nstest.WaitFor(b, "the first table is left", func() bool {
		var now abi.BpfSlotSizes
		if err := sizes.Lookup(uint32(0), &now); err != nil {
			b.Fatal(err)
		}
		return now.Before == 0
	})
}

// fresh sends a SYN of each of so many more flows of the way's client, which is another one for
// each measurement. The generator writes addresses and leaves the IP header's checksum, which
// IPVS looks at, as it is.
func (n *beginning) fresh(b *testing.B, port byte, by way, count int) {
	first, ok := n.clients[by]
	if !ok {
		n.last++
		first = n.last * flowsOfClient
	}
	n.from = by.from
	n.sendFlows(b, n.packetOf(first/flowsOfClient, port, synFlag), floor.Flows{Count: 1 << 31, First: first}, count)
	next, err := n.programs.Next()
	if err != nil || next/flowsOfClient != first/flowsOfClient {
		b.Fatalf("flow %d follows %d, of another client: %v", next, first, err)
	}
	n.clients[by] = next
}

// emptyIPVS removes the services, and their connections, which otherwise stay for a minute.
func (n *beginning) emptyIPVS(b *testing.B) {
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
func (n *beginning) expireNoDest(b *testing.B, value string) {
	n.director.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/vs/expire_nodest_conn", []byte(value), 0o644); err != nil {
			b.Fatal(err)
		}
	})
}

// live is how many connections the data plane has.
func (n *beginning) live(b *testing.B) (all int) {
	stats, err := n.plane.Stats()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range stats.Servers {
		all += s.Active + s.Inactive
	}
	return all
}

// emptyWeir ends all of the data plane's connections.
func (n *beginning) emptyWeir(b *testing.B) {
	all := lvs.AccessRule{Network: netip.MustParsePrefix("10.0.0.0/8")}
	n.director.Do(func() {
		if err := n.plane.AddRule(all, true, 0); err != nil {
			b.Fatal(err)
		}
		if _, err := n.plane.RemoveRule(all, true); err != nil {
			b.Fatal(err)
		}
	})
	if got := n.live(b); got != 0 {
		b.Fatalf("%d connections are left, want none", got)
	}
}
