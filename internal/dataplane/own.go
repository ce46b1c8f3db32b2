package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
	"weir/lvs"
)

// loopback is the device by which what this machine sends itself leaves.
const loopback = "lo"

// owns is what is known of this machine's own addresses.
type owns struct {
	numbers map[netip.Addr]uint8 // of those in the table
	virtual map[netip.Addr]bool  // that services have
	// devices' addresses, as long as they are taken to be good.
	devices map[int][]netip.Prefix
}

// takeUpOwns begins with the addresses that an earlier process left.
func (p *Plane) takeUpOwns() {
	p.owns = owns{numbers: map[netip.Addr]uint8{}, devices: map[int][]netip.Prefix{}}
	for i, a := range p.tables.ownAddrs.Wrote() {
		p.owns.numbers[a.Netip()] = uint8(i)
	}
}

// virtualAddrs are the addresses that other machines may have, too.
func virtualAddrs(plan lvs.Plan) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, vs := range plan.Services {
		all[vs.Addr] = true
	}
	for _, in := range plan.Instances {
		for _, vip := range in.VIPs {
			all[vip] = true
		}
	}
	return all
}

// setOwn enters our addresses on the way to a server: what one behind a tunnel gets
// comes from it, and what this machine itself sends to its service.
func (p *Plane) setOwn(entry *abi.BpfServer, s *server) (err error) {
	if !s.hop.Source.IsValid() || s.hop.Local {
		return nil
	}
	server := s.key.addr.Addr()
	if entry.Own, err = p.ownAddr(p.sourceOf(s.hop, server, s.hop.Source)); err != nil {
		return err
	}
	entry.Inner = entry.Own
	if s.ip4 != server.Is4() {
		entry.Inner, err = p.ownAddr(p.sourceOf(s.hop, server, netip.Addr{}))
	}
	return err
}

// ownAddr is the number of one of our addresses, 0 of none.
func (p *Plane) ownAddr(a netip.Addr) (uint8, error) {
	if i, known := p.owns.numbers[a]; known || !a.IsValid() {
		return i, nil
	}
	i, err := p.ownPlace()
	if err != nil {
		return 0, err
	}
	p.owns.numbers[a] = i
	return i, p.tables.ownAddrs.Put(uint32(i), abi.AddrOf(a))
}

// sourceOf is the address from which the kernel would send to a server, if that is
// not a virtual one, and else another of the device: of IPv6 addresses the kernel
// prefers one with a /128. Without the kernel's, it is one of the other family.
func (p *Plane) sourceOf(hop netlnk.NextHop, server, kernels netip.Addr) netip.Addr {
	if kernels.IsValid() && !p.owns.virtual[kernels] {
		return kernels
	}
	all, known := p.owns.devices[hop.Index]
	if !known {
		all, _ = netlnk.AddressesOf(hop.Index) // without them it is as the kernel says
		p.owns.devices[hop.Index] = all
	}
	near := server
	if hop.Gateway.IsValid() {
		near = hop.Gateway
	}
	ip4, best := server.Is4() == kernels.IsValid(), kernels
	for _, own := range all {
		a := own.Addr()
		switch {
		case a.Is4() != ip4 || a.IsLinkLocalUnicast() || p.owns.virtual[a]:
		case own.Contains(near):
			return a
		case best == kernels:
			best = a
		}
	}
	return best
}

// ownPlace is a free place for an address, or that of one that no server needs.
func (p *Plane) ownPlace() (uint8, error) {
	if n := uint32(len(p.owns.numbers)) + 1; n < p.maps.OwnAddrs.MaxEntries() {
		return uint8(n), nil
	}
	used := map[uint8]bool{}
	for _, entry := range p.tables.servers.Wrote() {
		used[entry.Own], used[entry.Inner] = true, true
	}
	for a, i := range p.owns.numbers {
		if !used[i] {
			delete(p.owns.numbers, a)
			return i, nil
		}
	}
	return 0, fmt.Errorf("all %d places for our own addresses are taken", p.maps.OwnAddrs.MaxEntries()-1)
}

// tail is the program that the one at egress calls for what this machine sends
// itself.
type tail struct {
	program ebpf.ProgramID // that belongs in its place; 0: none yet
	// adopted is true while that is an earlier process's, which does until Run has
	// loaded our own: a process that takes over has no time for it.
	adopted bool
}

func (p *Plane) takeUpTail() (err error) {
	p.tail.program, err = p.tailNow()
	p.tail.adopted = p.tail.program != 0
	return err
}

func (p *Plane) tailNow() (ebpf.ProgramID, error) {
	var id uint32
	if err := p.maps.Tails.Lookup(uint32(0), &id); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, fmt.Errorf("look up the program that is called at egress: %w", err)
	}
	return ebpf.ProgramID(id), nil
}

// setTail loads it, if need be, and puts it in its place.
func (p *Plane) setTail() error {
	program, err := p.program(nil, abi.BpfProgWeirOwn)
	if err != nil {
		return err
	}
	info, err := program.Info()
	if err != nil {
		return err
	}
	if err := p.maps.Tails.Put(uint32(0), program); err != nil {
		return fmt.Errorf("have it called at egress: %w", err)
	}
	p.tail.program, _ = info.ID()
	p.tail.adopted = false
	return nil
}

// renewTail replaces one that an earlier process had loaded, some comparisons after
// the start: verifying it keeps a CPU busy, which a lease that is about to run out
// needs more.
func (p *Plane) renewTail(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(10 * p.compareEvery):
	}
	p.mu.Lock()
	adopted := p.tail.adopted
	p.mu.Unlock()
	if !adopted {
		return
	}
	program, err := p.loadProgram(nil, abi.BpfProgWeirOwn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.keepProgram(nil, abi.BpfProgWeirOwn, program)
		err = p.setTail()
	}
	if err != nil {
		p.log.Error("renew the program for what this machine sends itself", "error", err)
	}
}

// repairTail puts it back where something else is.
func (p *Plane) repairTail() {
	if p.tail.program == 0 {
		return
	}
	now, err := p.tailNow()
	if err != nil {
		p.noteFailure(abi.BpfMapTails, err)
	} else if now != p.tail.program {
		p.ledger.Note(abi.BpfMapTails, abi.BpfProgWeirOwn, p.setTail())
	}
}
