package dataplane

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"github.com/cilium/ebpf"
)

// sizeFlows gives the flow cache (bpf/flow.h) its size: two lines for each
// connection that the table can hold, shared out to the CPUs, each of which
// has a power of two, and at least the four that a flow may have.
func sizeFlows(spec *ebpf.CollectionSpec, connections uint32) error {
	cpus := ebpf.MustPossibleCPU()
	each := max(2, bits.Len(uint(2*int(connections)/cpus))-1)
	spec.Maps[bpfMapFlowLines].MaxEntries = uint32(cpus) << each
	if err := spec.Variables[bpfVarFlowBits].Set(uint32(each)); err != nil {
		return err
	}
	return spec.Variables[bpfVarFlowCpus].Set(uint32(cpus))
}

// startFlows empties the flow cache, and gives it its secret, once.
func (p *Plane) startFlows() error {
	if err := p.maps.FlowKnobs.Lookup(uint32(0), &p.flows); err != nil {
		return fmt.Errorf("read how the flow cache works: %w", err)
	}
	if p.flows.Seed[0] == 0 {
		var secret [len(p.flows.Seed) * 8]byte
		rand.Read(secret[:]) // never fails
		for i := range p.flows.Seed {
			p.flows.Seed[i] = binary.NativeEndian.Uint64(secret[8*i:]) | 1
		}
	}
	p.flows.Refresh = 1
	return p.forgetFlows()
}

// forgetFlows makes every established flow take the full way once. It is for
// when flows change their way, which a new weight does not do.
func (p *Plane) forgetFlows() error {
	p.flows.Generation++
	if p.flows.Generation == 0 { // that is an empty line's
		p.flows.Generation = 1
	}
	return p.putFlows()
}

// paceFlows sets for how long a line is good, after a sweep has counted the
// connections.
func (p *Plane) paceFlows(live int) error {
	refresh := flowRefresh(live, p.timeouts)
	if refresh == p.flows.Refresh {
		return nil
	}
	p.flows.Refresh = refresh
	return p.putFlows()
}

func (p *Plane) putFlows() error {
	if err := p.maps.FlowKnobs.Put(uint32(0), p.flows); err != nil {
		return fmt.Errorf("set how the flow cache works: %w", err)
	}
	return nil
}

// flowRefresh is for how many ticks a flow may go without stamping its
// connection: a connection may end so much too early. It grows with their
// number, to 4 s for a million, so that few packets take the full way; and it
// is at most an eighth of the time-outs of the states that have lines.
func flowRefresh(live int, timeouts timeouts) uint32 {
	const perConnection = 4 * time.Microsecond
	refresh := time.Duration(live) * perConnection
	for _, state := range []bpfConnState{bpfConnStateSTATE_ESTABLISHED, bpfConnStateSTATE_UDP} {
		refresh = min(refresh, timeouts[state]/8)
	}
	return uint32(max(1, min(refresh, 4*time.Second)/tickLength))
}
