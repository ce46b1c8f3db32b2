package dataplane

import (
	"fmt"
	"hash/crc32"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// The fixtures' network: a director with one device, eth0, on which clients,
// two real servers and another director are.
const (
	ourMAC      = "02:00:00:00:00:01"
	clientMAC   = "02:00:00:00:00:99"
	rs1MAC      = "02:00:00:00:00:11"
	rs2MAC      = "02:00:00:00:00:12"
	directorMAC = "02:00:00:00:00:77"

	serverCount = 6
)

var (
	vip4 = netip.MustParseAddr("192.0.2.100")
	vip6 = netip.MustParseAddr("2001:db8::100")
	vi1  = lvs.InstanceID{Interface: "eth0", VRID: 51}
)

// A bench is a data plane in a namespace of its own, with its programs at hand.
type bench struct {
	*Plane
	ns     *nstest.Namespace
	device *net.Interface
	index  int
	// Each is loaded when it is first asked for.
	xdp, tc, egress, behind func() *ebpf.Program
}

// withPlane runs the body inside a namespace with the fixtures' network.
func withPlane(t testing.TB, plan lvs.Plan, body func(b *bench)) {
	t.Helper()
	connections := 1 << 15
	if _, ok := t.(*testing.B); ok {
		connections = 1 << 20
	}
	withPlaneOf(t, connections, plan, body)
}

// withPlaneOf is withPlane with a connection table of this size.
func withPlaneOf(t testing.TB, connections int, plan lvs.Plan, body func(b *bench)) {
	t.Helper()
	// rs1 is 192.0.2.11 with the address rs1MAC, and so on.
	ns := newNetwork(t, nsName(t), []string{"192.0.2.1/24", "2001:db8::1/64"}, "192.0.2.1%d", "2001:db8::1%d")
	onNetwork(t, ns, nsName(t), connections, func(b *bench) {
		b.set(t, plan)
		body(b)
		if t, ok := t.(*testing.T); ok && !t.Failed() {
			b.wantWholeIndex(t)
			b.wantServiceSlots(t)
		}
	})
}

// withLog is withPlane with a log.
func withLog(t testing.TB, log *slog.Logger, plan lvs.Plan, body func(b *bench)) {
	t.Helper()
	ns := newNetwork(t, nsName(t), []string{"192.0.2.1/24", "2001:db8::1/64"}, "192.0.2.1%d", "2001:db8::1%d")
	ns.Do(func() {
		b := benchOf(t, Options{PinDir: pinsFor(nsName(t)), Connections: 1 << 15, RealServers: 1024, Log: log})
		b.ns = ns
		defer func() {
			if err := b.Remove(); err != nil {
				t.Error(err)
			}
		}()
		b.set(t, plan)
		body(b)
	})
}

// newNetwork makes a namespace with a device of these addresses, and servers,
// numbered from 1, at those that the two patterns give.
func newNetwork(t testing.TB, name string, own []string, servers4, servers6 string) *nstest.Namespace {
	t.Helper()
	ns, far := nstest.New(t, name), nstest.New(t, name+"x")
	nstest.Veth(ns, "eth0", far, "eth0")
	setup := []string{"link set eth0 address " + ourMAC}
	for _, addr := range own {
		setup = append(setup, "addr add "+addr+" dev eth0 nodad")
	}
	for i := 1; i <= serverCount; i++ {
		for _, pattern := range []string{servers4, servers6} {
			setup = append(setup, fmt.Sprintf("neigh add "+pattern+" lladdr 02:00:00:00:00:1%d dev eth0 nud permanent", i, i))
		}
	}
	ns.Batch(setup...)
	return ns
}

// onNetwork runs the body inside the namespace, with a data plane that ends with it.
func onNetwork(t testing.TB, ns *nstest.Namespace, name string, connections int, body func(b *bench)) {
	t.Helper()
	ns.Do(func() {
		b := openBench(t, pinsFor(name), connections)
		b.ns = ns
		defer func() {
			if err := b.Remove(); err != nil {
				t.Error(err)
			}
		}()
		body(b)
	})
}

// pinsFor is where a test's data plane is pinned.
func pinsFor(name string) string {
	return fmt.Sprintf("/sys/fs/bpf/weirt-%d-%s", os.Getpid(), name)
}

func openBench(t testing.TB, pins string, connections int) *bench {
	t.Helper()
	size := Options{PinDir: pins, Connections: connections, RealServers: 1024, Log: slog.New(slog.DiscardHandler)}
	if _, ok := t.(*testing.B); ok {
		size.RealServers = 0
	}
	return benchOf(t, size)
}

func benchOf(t testing.TB, o Options) *bench {
	t.Helper()
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Plane: p, device: dev, index: dev.Index}
	program := func(name string) func() *ebpf.Program {
		return sync.OnceValue(func() *ebpf.Program { return b.program(t, name) })
	}
	b.xdp, b.tc, b.behind = program(abi.BpfProgWeirXdp), program(abi.BpfProgWeirTc), program(abi.BpfProgWeirBehind)
	b.egress = program(abi.BpfProgWeirEgress)
	return b
}

// program loads one program for the device: the verifier takes its time for each.
func (b *bench) program(t testing.TB, name string) *ebpf.Program {
	t.Helper()
	spec, err := attach.SpecFor(b.spec, b.device.HardwareAddr)
	if err != nil {
		t.Fatal(err)
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{name: spec.Programs[name]}
	all, err := ebpf.NewCollectionWithOptions(spec, *b.collection())
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	return all.DetachProgram(name)
}

// nsName is a short name: a namespace's is at most some 200 bytes, but read by people.
func nsName(t testing.TB) string {
	name := []byte{}
	for _, c := range []byte(t.Name()) {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			name = append(name, c)
		}
	}
	// Other tests may have the same letters.
	return fmt.Sprintf("%s%04x", name, uint16(crc32.ChecksumIEEE([]byte(t.Name()))))
}

// verdict is what a program said of a packet, in one word for XDP and tc.
type verdict string

const (
	pass    verdict = "pass"
	dropped verdict = "drop"
	back    verdict = "out of the device it came by"
	other   verdict = "out of another device"
	refused verdict = "an ICMP error, out of the device it came by"
)

// place is a program under test: the same fixtures run at each.
type place struct {
	name string
	run  func(b *bench, in []byte) (verdict, []byte, error)
}

var places = []place{{"xdp", runXDP}, {"tc", runTC}}

type xdpContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

func runXDP(b *bench, in []byte) (verdict, []byte, error) {
	run := &ebpf.RunOptions{
		Data: in, DataOut: make([]byte, len(in)+256),
		Context: xdpContext{DataEnd: uint32(len(in)), IngressIfindex: uint32(b.index)},
	}
	ret, err := b.xdp().Run(run)
	return verdictOf(map[uint32]verdict{1: dropped, 2: pass, 3: back, 4: other}[ret], run.DataOut), run.DataOut, err
}

// verdictOf tells an error that goes back from a packet that is sent on.
func verdictOf(v verdict, out []byte) verdict {
	if v != back {
		return v
	}
	ip := 12
	for out[ip] == 0x81 || out[ip] == 0x88 {
		ip += 4
	}
	icmp4 := out[ip] == 0x08 && out[ip+11] == 1
	icmp6 := out[ip] == 0x86 && out[ip+8] == 58
	if icmp4 || icmp6 {
		return refused
	}
	return back
}

// skbContext is struct __sk_buff of linux/bpf.h, as far as the fixtures set it.
type skbContext struct {
	_              [9]uint32
	IngressIfindex uint32
	Ifindex        uint32
	_              [30]uint32
	GSOSegs        uint32
	_              [2]uint32
	GSOSize        uint32
	_              [3]uint32
}

// runTC cannot see by which device a packet leaves: the server's entry names it.
func runTC(b *bench, in []byte) (verdict, []byte, error) {
	return runSKB(b, b.tc(), in)
}

func runSKB(b *bench, program *ebpf.Program, in []byte) (verdict, []byte, error) {
	return runSegments(b, program, in, 0, 0)
}

// runSegments runs a program on an skb that is so many segments of this payload in one.
func runSegments(b *bench, program *ebpf.Program, in []byte, segments, payload int) (verdict, []byte, error) {
	run := &ebpf.RunOptions{
		Data: in, DataOut: make([]byte, len(in)+16<<10),
		Context: skbContext{Ifindex: uint32(b.index), GSOSegs: uint32(segments), GSOSize: uint32(payload)},
	}
	ret, err := program.Run(run)
	return verdictOf(map[uint32]verdict{2: dropped, ^uint32(0): pass, 7: back}[ret], run.DataOut), run.DataOut, err
}

// send runs one packet through the place and fails on what is not expected.
func (b *bench) send(t testing.TB, p place, f frame, want verdict) []byte {
	t.Helper()
	got, out, err := p.run(b, f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%+v: %q, want %q", f, got, want)
	}
	return out
}

// pick sends a client's SYN and says which server it went to, by the frame's
// new destination; "local" is this machine.
func (b *bench) pick(t testing.TB, p place, f frame) string {
	t.Helper()
	got, out, err := p.run(b, f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got == pass {
		return "local"
	}
	if got == refused { // or dropped, when errors are many
		return string(dropped)
	}
	if got != back {
		return string(got)
	}
	return fmt.Sprintf("rs%x", out[5]-0x10)
}

func real(addr string, weight int) lvs.RealServer {
	return lvs.RealServer{Addr: netip.MustParseAddr(addr), Port: 80, Weight: weight, Method: lvs.DirectRoute}
}

func virtual(protocol lvs.Protocol, vip netip.Addr, s lvs.Scheduler, servers ...lvs.RealServer) lvs.VirtualServer {
	return lvs.VirtualServer{
		ServiceKey: lvs.ServiceKey{Protocol: protocol, Addr: vip, Port: 80}, Scheduler: s, RealServers: servers,
	}
}

func planOf(services ...lvs.VirtualServer) lvs.Plan { return lvs.Plan{Services: services} }

// syn is a new connection of the fixtures' client, told apart by its port.
func syn(port int) frame {
	return frame{dst: ourMAC, src: clientMAC, from: fmt.Sprintf("198.51.100.9:%d", port), to: "192.0.2.100:80", proto: "tcp", flags: "S"}
}

func (f frame) with(flags string) frame { f.flags = flags; return f }
func (f frame) by(mac string) frame     { f.src = mac; return f }

// forwarded is the frame as direct routing sends it on.
func (f frame) forwarded(mac string) frame {
	f.dst, f.src = mac, ourMAC
	if f.ttl == 0 {
		f.ttl = 64
	}
	f.ttl--
	return f
}
