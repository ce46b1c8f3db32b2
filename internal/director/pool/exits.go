package pool

import (
	"net/netip"
	"slices"

	"weir/lvs"
)

// paths are what is known of the ways to a pool's servers, of which most stay as they are
// from one look at the machine to the next.
type paths struct {
	// exits are the devices of Exits, as they were at the look of this number.
	exits []string
	look  uint64
	// methods are those of the servers, a bit for each; 0 before they are asked for.
	methods uint
}

// Exits are the devices by which the servers behind NAT are reached, each once. They are
// asked for once at each look at the machine, which are numbered from 1 on. To is asked for
// the device to an address; ok is false where it cannot be told now.
func (p *Pool) Exits(look uint64, to func(netip.Addr) (device string, ok bool)) []string {
	if p.paths.look == look || !p.Uses(lvs.Masquerade) {
		return p.paths.exits
	}
	var exits []string
	known := true
	p.Servers(func(rs lvs.RealServer) {
		if rs.Method != lvs.Masquerade {
			return
		}
		device, ok := to(rs.Addr)
		known = known && ok
		if device != "" && !slices.Contains(exits, device) {
			exits = append(exits, device)
		}
	})
	p.paths.exits, p.paths.look = exits, 0
	if known {
		p.paths.look = look
	}
	return exits
}

// Uses says whether packets reach a server of the pool by a method.
func (p *Pool) Uses(method lvs.ForwardMethod) bool {
	const asked = 1
	if p.paths.methods == 0 {
		p.paths.methods = asked
		p.Servers(func(rs lvs.RealServer) { p.paths.methods |= asked << (1 + rs.Method) })
	}
	return p.paths.methods&(asked<<(1+method)) != 0
}
