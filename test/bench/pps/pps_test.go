// Package pps measures packets a second through network namespaces: a generator, a director
// with two devices, and a sink, connected by veth pairs.
package pps

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"

	"weir/internal/dataplane"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/test/bench/floor"
)

const (
	flows        = 1024
	directorMAC  = "02:00:00:00:00:01"
	sinkMAC      = "02:00:00:00:00:11"
	liveFrames   = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES, linux/bpf.h
	generatorDev = "gen0" // and the director's device at its other end
	entryDev     = "in0"
)

// BenchmarkPPS is `make bench-pps`. One CPU sends 60-byte frames of 1,024 flows as fast as it
// can; the frames that arrive are counted.
func BenchmarkPPS(b *testing.B) {
	for _, v := range []struct {
		name  string
		setUp func(b *testing.B, n *network)
	}{
		{"floor", func(b *testing.B, n *network) { closeWith(b, n.attach(b, n.director, entryDev, n.programs.Sink())) }},
		{"weir_native", func(b *testing.B, n *network) { n.weir(b, lvs.HookNative) }},
		{"redirect_tc", func(b *testing.B, n *network) { n.redirect(b, n.programs.Redirect()) }},
		{"weir_tc", func(b *testing.B, n *network) { n.weir(b, lvs.HookTC) }},
		{"weir_tc_nat", func(b *testing.B, n *network) { n.weirNAT(b, lvs.HookTC) }},
		{"peer_tc", func(b *testing.B, n *network) { n.farEnd(b); n.redirect(b, n.programs.Peer()) }},
		{"weir_peer", func(b *testing.B, n *network) { n.farEnd(b); n.weir(b, lvs.HookTC) }},
		{"weir_peer_nat", func(b *testing.B, n *network) { n.farEnd(b); n.weirNAT(b, lvs.HookTC) }},
		{"weir_generic", func(b *testing.B, n *network) { n.farEnd(b); n.weir(b, lvs.HookGeneric) }},
		{"weir_generic_nat", func(b *testing.B, n *network) { n.farEnd(b); n.weirNAT(b, lvs.HookGeneric) }},
		{"ip_forward", func(b *testing.B, n *network) { n.forward(b) }},
		{"nft_dnat", func(b *testing.B, n *network) { n.nftables(b) }},
	} {
		b.Run(v.name, func(b *testing.B) {
			n := build(b)
			v.setUp(b, n)
			n.measure(b)
		})
	}
}

// network is the three namespaces.
type network struct {
	programs                  *floor.Programs
	generator, director, sink *nstest.Namespace
	pins                      string    // the folder of the data plane's pins
	arrives                   link.Link // the program that counts what arrives
	from                      string    // the generator's device that sends
	begun                     time.Time // when its last frames began
	to, port                  byte      // where the frames are sent: the last byte of the address, and the port
}

func build(b *testing.B) *network {
	programs, err := floor.Load(1024)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { programs.Close() })
	n := &network{
		programs: programs, generator: nstest.New(b, "gen"), director: nstest.New(b, "dir"), sink: nstest.New(b, "sink"),
		from: generatorDev, to: vip, port: direct, pins: fmt.Sprintf("/sys/fs/bpf/weirt-%d-pps", os.Getpid()),
	}
	n.entry(b, generatorDev, entryDev)
	nstest.Veth(n.director, "out0", n.sink, "sink0")
	n.director.IP("addr", "add", "198.51.100.1/24", "dev", entryDev)
	n.director.IP("addr", "add", "192.0.2.1/24", "dev", "out0")
	n.director.IP("neigh", "add", "192.0.2.11", "lladdr", sinkMAC, "dev", "out0", "nud", "permanent")
	n.arrives = n.attach(b, n.sink, "sink0", n.programs.Sink())
	b.Cleanup(func() { n.arrives.Close() })
	return n
}

// entry adds a device of the generator's, and the director's at its other end.
func (n *network) entry(b *testing.B, from, to string) {
	nstest.Veth(n.generator, from, n.director, to)
	n.director.IP("link", "set", to, "address", directorMAC)
	// A veth device accepts frames that were sent by XDP only while its NAPI runs: with
	// GRO, or with an XDP program.
	n.director.Do(func() { offload(b, to, "rx-gro") })
}

func closeWith(b *testing.B, l link.Link) { b.Cleanup(func() { l.Close() }) }

func offload(b *testing.B, dev, feature string) {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		b.Fatal(err)
	}
	defer tool.Close()
	if err := tool.Change(dev, map[string]bool{feature: true}); err != nil {
		b.Fatalf("switch %s of %s on: %v", feature, dev, err)
	}
}

// attach puts an XDP program on a device in native mode.
func (n *network) attach(b *testing.B, ns *nstest.Namespace, dev string, program *ebpf.Program) (l link.Link) {
	ns.Do(func() {
		i, err := net.InterfaceByName(dev)
		if err != nil {
			b.Fatal(err)
		}
		l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: i.Index, Flags: link.XDPDriverMode})
		if err != nil {
			b.Fatalf("attach to %s: %v", dev, err)
		}
	})
	return l
}

// farEnd lets the far end of the director's second device have frames at once: what arrives is
// counted at tc.
func (n *network) farEnd(b *testing.B) {
	n.arrives.Close()
	n.arrives = n.attachTC(b, n.sink, "sink0", n.programs.SinkTC())
}

// attachTC puts a program on a device at tc, where frames come in.
func (n *network) attachTC(b *testing.B, ns *nstest.Namespace, dev string, program *ebpf.Program) link.Link {
	return n.attachTCX(b, ns, dev, program, ebpf.AttachTCXIngress)
}

func (n *network) attachTCX(b *testing.B, ns *nstest.Namespace, dev string, program *ebpf.Program, way ebpf.AttachType) (l link.Link) {
	ns.Do(func() {
		i, err := net.InterfaceByName(dev)
		if err == nil {
			l, err = link.AttachTCX(link.TCXOptions{Program: program, Interface: i.Index, Attach: way})
		}
		if err != nil {
			b.Fatalf("attach to %s: %v", dev, err)
		}
	})
	return l
}

// redirect has a floor program send all frames to the director's second device.
func (n *network) redirect(b *testing.B, program *ebpf.Program) {
	n.exit(b, "out0")
	closeWith(b, n.attachTC(b, n.director, entryDev, program))
}

// exit sets the director's device to which the floor programs send.
func (n *network) exit(b *testing.B, dev string) {
	n.director.Do(func() {
		i, err := net.InterfaceByName(dev)
		if err == nil {
			err = n.programs.SetExit(i.Index)
		}
		if err != nil {
			b.Fatal(err)
		}
	})
}

// The last byte of the VIP, and its ports: of the service with direct routing, and of the one with NAT.
const vip, direct, masqueraded = 100, 80, 81

// weir balances to one server, the sink. All flows are established.
func (n *network) weir(b *testing.B, hook lvs.Hook) {
	n.balance(b, n.plane(b, 1<<16), hook)
	n.establish(b, direct)
}

// weirNAT is weir by NAT.
func (n *network) weirNAT(b *testing.B, hook lvs.Hook) {
	n.port = masqueraded
	n.balance(b, n.plane(b, 1<<16), hook)
	n.establish(b, masqueraded)
}

// plane opens a data plane in the director with room for so many connections, without a service.
func (n *network) plane(b *testing.B, connections int) (plane *dataplane.Plane) {
	n.director.Do(func() {
		var err error
		plane, err = dataplane.Open(dataplane.Options{
			PinDir:      n.pins,
			Connections: connections, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := plane.Remove(); err != nil {
				b.Error(err)
			}
		})
	})
	return plane
}

// balance gives the data plane both services, at a hook of the director's device.
func (n *network) balance(b *testing.B, plane *dataplane.Plane, hook lvs.Hook) {
	n.balanceOn(b, plane, hook, entryDev)
}

func (n *network) balanceOn(b *testing.B, plane *dataplane.Plane, hook lvs.Hook, devices ...string) {
	plan := lvs.Plan{Services: oneServer()}
	for _, dev := range devices {
		plan.Devices = append(plan.Devices, lvs.Device{Name: dev, Hook: hook})
	}
	n.set(b, plane, plan)
}

// oneServer is both services, whose only server is the sink.
func oneServer() (services []lvs.VirtualServer) {
	for port, method := range map[uint16]lvs.ForwardMethod{direct: lvs.DirectRoute, masqueraded: lvs.Masquerade} {
		services = append(services, lvs.VirtualServer{
			ServiceKey:  lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("192.0.2.100"), Port: port},
			Scheduler:   lvs.RoundRobin,
			RealServers: []lvs.RealServer{{Addr: netip.MustParseAddr("192.0.2.11"), Port: port, Weight: 1, Method: method}},
		})
	}
	return services
}

func (n *network) set(b *testing.B, plane *dataplane.Plane, plan lvs.Plan) {
	n.director.Do(func() {
		if err := plane.Set(plan); err != nil {
			b.Fatal(err)
		}
	})
}

// establish opens every flow's connection.
func (n *network) establish(b *testing.B, port byte) {
	n.send(b, n.packet(port, synFlag), flows)
	n.send(b, n.packet(port, ackFlag), flows)
}

// forward is the kernel's own routing, with no balancing at all.
func (n *network) forward(b *testing.B) {
	n.director.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			b.Fatal(err)
		}
	})
	n.director.IP("route", "add", "192.0.2.100/32", "via", "192.0.2.11", "dev", "out0")
	n.director.IP("route", "add", "10.0.0.0/8", "dev", entryDev)
}

// nftables is the kernel's own NAT to the server.
func (n *network) nftables(b *testing.B) {
	n.forward(b)
	n.director.Do(func() {
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader("table ip balance {\n chain prerouting {\n  type nat hook prerouting priority dstnat;\n" +
			"  ip daddr 192.0.2.100 tcp dport 80 dnat to 192.0.2.11\n }\n}\n")
		if out, err := nft.CombinedOutput(); err != nil {
			b.Fatalf("nft: %v\n%s", err, out)
		}
	})
	n.send(b, n.packet(direct, synFlag), flows)
}

// measure sends b.N frames and reports the time of each.
func (n *network) measure(b *testing.B) {
	figure := n.perPacket(b, n.port, b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(figure, "ns/packet")
}

// perPacket sends frames and returns the time in nanoseconds divided by the number of those
// that arrived. Where the director is slow, some are dropped because its device's ring is
// full; they cost only the generator time.
func (n *network) perPacket(b *testing.B, port byte, frames int) float64 {
	n.send(b, n.packet(port, ackFlag), flows) // warms the caches
	before := n.arrived(b)
	begun := time.Now()
	n.send(b, n.packet(port, ackFlag), frames)
	took := time.Since(begun)
	got := n.arrived(b) - before
	if got < uint64(frames)/10 {
		b.Fatalf("%d of %d frames arrived", got, frames)
	}
	return float64(took.Nanoseconds()) / float64(got)
}

// send sends live frames of the established flows in turn.
func (n *network) send(b *testing.B, frame []byte, count int) {
	n.sendFlows(b, frame, floor.Flows{Count: flows}, count)
}

// sendFlows sends live frames by the device n.from; it returns when the last one has left.
func (n *network) sendFlows(b *testing.B, frame []byte, of floor.Flows, count int) {
	n.generator.Do(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dev, err := net.InterfaceByName(n.from)
		if err != nil {
			b.Fatal(err)
		}
		if err := n.programs.SetPacket(frame, of); err != nil {
			b.Fatal(err)
		}
		n.begun = time.Now()
		type context struct{ Data, DataEnd, DataMeta, Ingress, RxQueue, Egress uint32 }
		_, err = n.programs.Generate().Run(&ebpf.RunOptions{
			Data: frame, Repeat: uint32(count), Flags: liveFrames,
			Context: context{DataEnd: uint32(len(frame)), Ingress: uint32(dev.Index)},
		})
		if err != nil {
			b.Fatalf("send live frames: %v", err)
		}
	})
}

func (n *network) arrived(b *testing.B) uint64 {
	got, err := n.programs.Arrived()
	if err != nil {
		b.Fatal(err)
	}
	return got
}

const (
	synFlag = 0x02
	ackFlag = 0x10
)

// flowsOfClient is how many flows the generator gives each client.
const flowsOfClient = 1 << 15

// packet is a 60-byte TCP frame to the address n.to; the generator writes the client's address and
// port.
func (n *network) packet(port, flags byte) []byte { return n.packetOf(0, port, flags) }

// packetOf is packet with a checksum of the IP header for the client of this number.
func (n *network) packetOf(client uint32, port, flags byte) []byte {
	p := make([]byte, 60)
	copy(p, []byte{0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x99, 0x08, 0x00})
	copy(p[14:], []byte{0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 0, 192, 0, 2, n.to})
	binary.BigEndian.PutUint32(p[26:], 10<<24+client)
	copy(p[34:], []byte{0x04, 0, 0, port, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 2, 0})
	var sum uint32
	for i := 14; i < 34; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	p[24], p[25] = byte(^sum>>8), byte(^sum)
	return p
}
