// Package floor has the BPF programs (bpf/bench/floor.bpf.c) with which the benchmarks
// measure the data plane, and with which they compare it: the least that a program can do.
package floor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -go-package floor bpf ../../../bpf/bench/floor.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu

// Programs are the loaded programs and maps.
type Programs struct {
	objects struct {
		bpfMaps
		bpfVariables
		Generate *ebpf.Program `ebpf:"generate"`
		Sink     *ebpf.Program `ebpf:"sink"`
		SinkTC   *ebpf.Program `ebpf:"sink_tc"`
		Redirect *ebpf.Program `ebpf:"redirect_tc"`
		Peer     *ebpf.Program `ebpf:"peer_tc"`
		PassXDP  *ebpf.Program `ebpf:"pass_xdp"`
		PassTC   *ebpf.Program `ebpf:"pass_tc"`
		Zeroed   *ebpf.Map     `ebpf:".bss"` // the variables of SetPacket
		Preset   *ebpf.Map     `ebpf:".data"`
	}
	wrapped map[string]*ebpf.Program
}

// Load loads the programs, with a connection table of this size.
func Load(connections int) (*Programs, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the floor programs: %w", err)
	}
	spec.Maps[bpfMapFloorFlows].MaxEntries = uint32(connections)
	p := &Programs{wrapped: map[string]*ebpf.Program{}}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the floor programs: %w", err)
	}
	own := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		bpfMapFloorFlows: p.objects.FloorFlows, bpfMapFloorServices: p.objects.FloorServices,
		bpfMapFloorServers: p.objects.FloorServers, bpfMapFloorTurns: p.objects.FloorTurns,
		bpfMapFloorServerCount: p.objects.FloorServerCount, bpfMapFloorServiceCount: p.objects.FloorServiceCount,
	}}
	for _, name := range []string{bpfProgEmptyXdp, bpfProgEmptyTc, bpfProgDr40, bpfProgIpip40, bpfProgNewC40} {
		if p.wrapped[name], err = p.Wrap(spec.Copy(), name, own); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// Wrap loads a program of the collection with a wrapper in front of it, which restores the
// packet of SetPacket and then calls the program, so that each repetition of a test run has
// the same packet. The collection's other programs are not loaded.
func (p *Programs) Wrap(spec *ebpf.CollectionSpec, name string, options ebpf.CollectionOptions) (*ebpf.Program, error) {
	floor, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read the wrapper: %w", err)
	}
	program, wrapper, called := spec.Programs[name], bpfProgWrapXdp, "under_test_xdp"
	if program.Type == ebpf.SchedCLS {
		wrapper, called = bpfProgWrapTc, "under_test_tc"
	}
	program.Instructions = replaced(floor.Programs[wrapper].Instructions, called, program.Instructions)
	spec.Programs = map[string]*ebpf.ProgramSpec{name: program}
	options.MapReplacements = maps.Clone(options.MapReplacements)
	if options.MapReplacements == nil {
		options.MapReplacements = map[string]*ebpf.Map{}
	}
	for section, m := range map[string]*ebpf.Map{".bss": p.objects.Zeroed, ".data": p.objects.Preset} {
		spec.Maps[section], options.MapReplacements[section] = floor.Maps[section], m
	}
	all, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		return nil, fmt.Errorf("load %s behind the wrapper: %w", name, err)
	}
	defer all.Close()
	return all.DetachProgram(name), nil
}

// replaced is the program with another program in place of one of its functions.
func replaced(program asm.Instructions, function string, by asm.Instructions) asm.Instructions {
	all := slices.Clone(by)
	all[0] = btf.WithFuncMetadata(all[0].WithSymbol(function), btf.FuncMetadata(&by[0]))
	var rest asm.Instructions
	dropped := false
	for _, i := range program {
		if i.Symbol() != "" {
			dropped = i.Symbol() == function
		}
		if !dropped {
			rest = append(rest, i)
		}
	}
	return append(rest, all...)
}

// Close unloads the programs and maps.
func (p *Programs) Close() error {
	errs := []error{p.objects.bpfMaps.Close(), p.objects.Zeroed.Close(), p.objects.Preset.Close(), p.objects.Generate.Close(), p.objects.Sink.Close()}
	for _, program := range p.wrapped {
		errs = append(errs, program.Close())
	}
	return errors.Join(errs...)
}

// EmptyXDP and EmptyTC do nothing. DR40 is the plainest direct routing, NewC40 the same for
// new connections, IPIP40 the plainest tunnel. Each is behind the wrapper.
func (p *Programs) EmptyXDP() *ebpf.Program { return p.wrapped[bpfProgEmptyXdp] }
func (p *Programs) EmptyTC() *ebpf.Program  { return p.wrapped[bpfProgEmptyTc] }
func (p *Programs) DR40() *ebpf.Program     { return p.wrapped[bpfProgDr40] }
func (p *Programs) IPIP40() *ebpf.Program   { return p.wrapped[bpfProgIpip40] }
func (p *Programs) NewC40() *ebpf.Program   { return p.wrapped[bpfProgNewC40] }

// Generate sends live frames; Sink counts the frames that arrive and drops them.
func (p *Programs) Generate() *ebpf.Program { return p.objects.Generate }
func (p *Programs) Sink() *ebpf.Program     { return p.objects.Sink }

// SinkTC is Sink at tc. Redirect and Peer, at tc, send all frames of Generate to the device of
// SetExit, out of it or to its far end at once.
func (p *Programs) SinkTC() *ebpf.Program   { return p.objects.SinkTC }
func (p *Programs) Redirect() *ebpf.Program { return p.objects.Redirect }
func (p *Programs) Peer() *ebpf.Program     { return p.objects.Peer }

// PassXDP and PassTC leave every frame to the stack, at XDP and at tc.
func (p *Programs) PassXDP() *ebpf.Program { return p.objects.PassXDP }
func (p *Programs) PassTC() *ebpf.Program  { return p.objects.PassTC }

// SetExit sets the device, by its index, to which Redirect and Peer send.
func (p *Programs) SetExit(index int) error { return p.objects.ExitIfindex.Set(uint32(index)) }

// Arrived is the number of frames that the sink has counted.
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

// Flows says which of many flows each packet belongs to. Flows differ by the client's
// address and port, which are the packet's source or its destination.
type Flows struct {
	Count    uint32 // of flows; 0: the packet is not changed
	First    uint32 // the number of the first flow
	ByLot    bool   // at random instead of one after the other
	ToClient bool
	// Scattered: each flow has its own client address, instead of many ports of a few.
	Scattered bool
}

// SetPacket sets the packet that the wrappers and Generate restore: a TCP packet without
// options.
func (p *Programs) SetPacket(packet []byte, flows Flows) error {
	var words [10]uint64
	var head [len(words) * 8]byte
	copy(head[:], packet)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(head[8*i:])
	}
	// The offsets of the low half of the source address and of the source port.
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
		o.Ip6: ip6, o.AddressAt: address, o.PortAt: port, o.Flows: flows.Count, o.ByLot: flag[flows.ByLot], o.Scattered: flag[flows.Scattered], o.Turn: flows.First, o.Length: uint32(len(packet)),
	} {
		if err := v.Set(value); err != nil {
			return err
		}
	}
	return o.Original.Set(words)
}

// Next is the number of the flow after the last packet's. A run that a signal interrupts begins
// again, so that there may have been more packets than were asked for.
func (p *Programs) Next() (next uint32, err error) {
	if err := p.objects.Turn.Get(&next); err != nil {
		return 0, fmt.Errorf("read the number of the next flow: %w", err)
	}
	return next, nil
}

// Serve gives the programs one service with this many servers.
func (p *Programs) Serve(vip netip.AddrPort, servers int) error {
	for i := range uint32(servers) {
		if err := p.objects.FloorServers.Put(i, bpfServer{Dst: [6]uint8{2, 0, 0, 0, 0, 0x11}, Addr: wireAddr(netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}))[3]}); err != nil {
			return err
		}
		if err := p.objects.FloorTurns.Put(i, i); err != nil {
			return err
		}
	}
	key := bpfServiceKey{Addr: wireAddr(vip.Addr()), Port: wirePort(vip.Port()), Protocol: tcp}
	return p.objects.FloorServices.Put(key, bpfService{Servers: uint32(servers)})
}

// Connect enters the first flows of the wrapper into the connection table, each from a
// client to the VIP.
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

// Disconnect empties the connection table.
func (p *Programs) Disconnect() error {
	keys, values := make([]bpfFlowKey, 65536), make([]bpfFlow, 65536)
	for cursor := new(ebpf.MapBatchCursor); ; {
		if _, err := p.objects.FloorFlows.BatchLookupAndDelete(cursor, keys, values, nil); err != nil {
			if errors.Is(err, ebpf.ErrKeyNotExist) { // the end of the table
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
