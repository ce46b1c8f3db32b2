// Package floor has the programs that the benchmarks measure the data plane
// with and against.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package floor bpf ../../../bpf/bench/floor.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu

// Programs are the wrappers and what they are compared with.
type Programs struct {
	objects bpfObjects
}

// Load loads them, with room for so many connections.
func Load(connections int) (*Programs, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the floor programs: %w", err)
	}
	spec.Maps[bpfMapFloorFlows].MaxEntries = uint32(connections)
	p := &Programs{}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the floor programs: %w", err)
	}
	return p, nil
}

// Close unloads them.
func (p *Programs) Close() error { return p.objects.Close() }

// EmptyXDP and EmptyTC do nothing; DR40 is the plainest direct routing, and NewC40
// its way with new connections.
func (p *Programs) EmptyXDP() *ebpf.Program { return p.objects.EmptyXdp }
func (p *Programs) EmptyTC() *ebpf.Program  { return p.objects.EmptyTc }
func (p *Programs) DR40() *ebpf.Program     { return p.objects.Dr40 }
func (p *Programs) NewC40() *ebpf.Program   { return p.objects.NewC40 }

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

// Flows says how the flows of a packet are told apart: by the address and port of
// the client, who is its source, or its destination.
type Flows struct {
	Count    uint32 // 0: it is always the packet's own
	First    uint32 // where turns begin
	ByLot    bool   // not one after the other
	ToClient bool
	// Scattered: each has a client of its own, not one of so many ports.
	Scattered bool
}

// SetPacket says what the wrappers and Generate set the packet back to, a TCP
// packet without options.
func (p *Programs) SetPacket(packet []byte, flows Flows) error {
	var words [10]uint64
	var head [len(words) * 8]byte
	copy(head[:], packet)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(head[8*i:])
	}
	// Where the low half of the source address stands, and the source port.
	var ip6, address, port uint32 = 0, 14 + 12, 14 + 20
	if packet[12] == 0x86 {
		ip6, address, port = 1, 14+8+12, 14+40
	}
	if flows.ToClient {
		address, port = address+4+12*ip6, port+2
	}
	flag := map[bool]uint32{true: 1}
	o := &p.objects
	for v, value := range map[*ebpf.Variable]uint32{
		o.Ip6: ip6, o.AddressAt: address, o.PortAt: port, o.Flows: flows.Count, o.ByLot: flag[flows.ByLot], o.Scattered: flag[flows.Scattered], o.Turn: flows.First,
	} {
		if err := v.Set(value); err != nil {
			return err
		}
	}
	return o.Original.Set(words)
}

// WrapXDP is the program that sets the packet back and then runs this one.
func (p *Programs) WrapXDP(program *ebpf.Program, packet []byte, flows Flows) (*ebpf.Program, error) {
	return p.objects.WrapXdp, p.wrap(p.objects.XdpProgram, program, packet, flows)
}

// WrapTC is the same at tc.
func (p *Programs) WrapTC(program *ebpf.Program, packet []byte, flows Flows) (*ebpf.Program, error) {
	return p.objects.WrapTc, p.wrap(p.objects.TcProgram, program, packet, flows)
}

func (p *Programs) wrap(m *ebpf.Map, program *ebpf.Program, packet []byte, flows Flows) error {
	if err := m.Put(uint32(0), program); err != nil {
		return fmt.Errorf("set the program to wrap: %w", err)
	}
	return p.SetPacket(packet, flows)
}

// Serve gives the floor's programs their service, and so many servers.
func (p *Programs) Serve(vip netip.AddrPort, servers int) error {
	for i := range uint32(servers) {
		if err := p.objects.FloorServers.Put(i, bpfServer{Dst: [6]uint8{2, 0, 0, 0, 0, 0x11}}); err != nil {
			return err
		}
		if err := p.objects.FloorTurns.Put(i, i); err != nil {
			return err
		}
	}
	key := bpfServiceKey{Addr: wireAddr(vip.Addr()), Port: wirePort(vip.Port()), Protocol: tcp}
	return p.objects.FloorServices.Put(key, bpfService{Servers: uint32(servers)})
}

// Connect enters the first flows that the wrapper draws, each a client's to the VIP.
func (p *Programs) Connect(vip netip.AddrPort, flows int) error {
	keys, values := make([]bpfFlowKey, flows), make([]bpfFlow, flows)
	for i := range keys {
		client := netip.AddrFrom4([4]byte{10, byte(i >> 31), byte(i >> 23), byte(i >> 15)})
		keys[i] = bpfFlowKey{
			Client: wireAddr(client), Vip: wireAddr(vip.Addr()),
			Sport: wirePort(uint16(1024 + i&0x7fff)), Dport: wirePort(vip.Port()), Protocol: tcp,
		}
	}
	_, err := p.objects.FloorFlows.BatchUpdate(keys, values, nil)
	return err
}

// Disconnect forgets all connections.
func (p *Programs) Disconnect() error {
	keys, values := make([]bpfFlowKey, 65536), make([]bpfFlow, 65536)
	for cursor := new(ebpf.MapBatchCursor); ; {
		if _, err := p.objects.FloorFlows.BatchLookupAndDelete(cursor, keys, values, nil); err != nil {
			if errors.Is(err, ebpf.ErrKeyNotExist) { // that is its end
				return nil
			}
			return err
		}
	}
}

const tcp = 6

func wireAddr(a netip.Addr) (w [4]uint32) {
	for i, b := 0, a.As16(); i < len(w); i++ {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

func wirePort(n uint16) uint16 { return n<<8 | n>>8 }
