// Package floor has the programs that the benchmarks measure the data plane
// with and against.
package floor

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package floor bpf ../../../bpf/bench/floor.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu

// Programs are the wrappers and what they are compared with.
type Programs struct {
	objects bpfObjects
}

// Load loads them.
func Load() (*Programs, error) {
	p := &Programs{}
	if err := loadBpfObjects(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the floor programs: %w", err)
	}
	return p, nil
}

// Close unloads them.
func (p *Programs) Close() error { return p.objects.Close() }

// EmptyXDP and EmptyTC do nothing; DR40 is the plainest direct routing.
func (p *Programs) EmptyXDP() *ebpf.Program { return p.objects.EmptyXdp }
func (p *Programs) EmptyTC() *ebpf.Program  { return p.objects.EmptyTc }
func (p *Programs) DR40() *ebpf.Program     { return p.objects.Dr40 }

// Generate sends live frames; Sink counts and drops what arrives.
func (p *Programs) Generate() *ebpf.Program { return p.objects.Generate }
func (p *Programs) Sink() *ebpf.Program     { return p.objects.Sink }

// Arrived is how many frames the sink has counted.
func (p *Programs) Arrived() (uint64, error) {
	var each []uint64
	if err := p.objects.Arrived.Lookup(uint32(0), &each); err != nil {
		return 0, fmt.Errorf("read the sink's counter: %w", err)
	}
	var sum uint64
	for _, n := range each {
		sum += n
	}
	return sum, nil
}

// SetPacket says what Generate sends, a packet of at least 54 bytes, and for how
// many clients in turn.
func (p *Programs) SetPacket(packet []byte, clients uint32) error {
	var words [7]uint64
	head := append(packet[:54:54], 0, 0)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(head[8*i:])
	}
	if err := p.objects.Original.Set(words); err != nil {
		return err
	}
	if err := p.objects.Turn.Set(uint32(0)); err != nil {
		return err
	}
	return p.objects.Clients.Set(clients)
}

// WrapXDP is the program that sets the packet back and then runs this one.
// Clients is how many clients take turns, 0 for the packet's own.
func (p *Programs) WrapXDP(program *ebpf.Program, packet []byte, clients uint32) (*ebpf.Program, error) {
	return p.objects.WrapXdp, p.wrap(p.objects.XdpProgram, program, packet, clients)
}

// WrapTC is the same at tc.
func (p *Programs) WrapTC(program *ebpf.Program, packet []byte, clients uint32) (*ebpf.Program, error) {
	return p.objects.WrapTc, p.wrap(p.objects.TcProgram, program, packet, clients)
}

func (p *Programs) wrap(m *ebpf.Map, program *ebpf.Program, packet []byte, clients uint32) error {
	if err := m.Put(uint32(0), program); err != nil {
		return fmt.Errorf("set the program to wrap: %w", err)
	}
	return p.SetPacket(packet, clients)
}

// Connect enters one flow of the client to the VIP into dr40's tables.
func (p *Programs) Connect(client, vip netip.AddrPort) error {
	word := func(a netip.Addr) (w [4]uint32) {
		for i, b := 0, a.As16(); i < 4; i++ {
			w[i] = binary.NativeEndian.Uint32(b[4*i:])
		}
		return w
	}
	port := func(n uint16) uint16 { return n<<8 | n>>8 }
	service := bpfServiceKey{Addr: word(vip.Addr()), Port: port(vip.Port()), Protocol: 6}
	flow := bpfFlowKey{
		Client: word(client.Addr()), Vip: word(vip.Addr()),
		Sport: port(client.Port()), Dport: port(vip.Port()), Protocol: 6,
	}
	if err := p.objects.FloorServices.Put(service, uint32(0)); err != nil {
		return err
	}
	if err := p.objects.FloorServers.Put(uint32(0), bpfServer{Dst: [6]uint8{2, 0, 0, 0, 0, 0x11}}); err != nil {
		return err
	}
	return p.objects.FloorFlows.Put(flow, bpfFlow{})
}
