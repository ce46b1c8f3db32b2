package service

import (
	"errors"
	"fmt"
	"math"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/nexthop"
	"weir/internal/netlnk"
	"weir/lvs"
)

// setServer writes what is new of a server.
func (r *Registry) setServer(service uint32, vs lvs.VirtualServer, rs lvs.RealServer, find Finder) (*server, error) {
	key := serverKey{service, rs.AddrPort()}
	s := r.servers[key]
	// A client of all ports keeps the one that it asked for.
	keepsPort := rs.Port == 0 || vs.Port == 0 && vs.Persistence.Timeout > 0
	if s != nil && s.present && s.written != nil && *s.written == rs && s.keepsPort == keepsPort {
		return s, nil
	}
	var hop netlnk.NextHop
	if s != nil && s.present && s.written != nil {
		hop = s.hop // Run keeps it fresh
	} else {
		hop, _ = find.Known(rs.Addr)
	}
	if err := checkServer(vs, rs); err != nil {
		return nil, err
	}
	if s == nil {
		index, again, err := r.serverIndexes.take(r.maps.Servers.MaxEntries())
		if err != nil {
			return nil, fmt.Errorf("no room for another one, with those that connections still refer to (Options.RealServers): %w", err)
		}
		s = &server{key: key, index: index}
		r.servers[key] = s
		if again || !r.untouched {
			r.begun = append(r.begun, index)
		}
	}
	was := *s
	s.hop, s.present, s.method, s.keepsPort, s.written = nexthop.Freshest(s.hop, hop), true, rs.Method, keepsPort, nil
	s.ip4, s.wasNAT = vs.Addr.Is4(), was.wasNAT || rs.Method == lvs.Masquerade
	r.filtered = r.filtered && was.wasNAT == s.wasNAT
	if !was.present || !nexthop.Same(was.hop, s.hop) {
		r.pathsChanged()
	}
	if err := r.setLimits(s, limitsOf(rs)); err != nil {
		return nil, err
	}
	if err := r.putServer(key, s); err != nil {
		return nil, err
	}
	s.written = &rs
	return s, nil
}

// putServer writes the server's entry as the data plane reads it.
func (r *Registry) putServer(key serverKey, s *server) error {
	entry := abi.BpfServer{
		Addr: abi.AddrOf(key.addr.Addr()), Port: abi.Port(key.addr.Port()),
		Method: uint8(s.method), Service: key.service, Swept: r.epoch(), Mtu: uint16(min(s.hop.MTU, math.MaxUint16)),
	}
	if s.keepsPort {
		entry.Method |= uint8(abi.BpfMethodMETHOD_KEEPS_PORT)
	}
	entry.NextHop.Ifindex = uint32(s.hop.Index)
	copy(entry.NextHop.Dst[:], s.hop.Dst)
	copy(entry.NextHop.Src[:], s.hop.Src)
	if s.present {
		entry.Flags |= abi.BpfServerFlagsSERVER_PRESENT
	} else if s.expires {
		entry.Flags |= abi.BpfServerFlagsSERVER_EXPIRES
	}
	if s.wasNAT {
		entry.Flags |= abi.BpfServerFlagsSERVER_WAS_NAT
	}
	if s.hop.Local {
		entry.Flags |= abi.BpfServerFlagsSERVER_LOCAL
	}
	if s.hop.Valid {
		entry.Flags |= abi.BpfServerFlagsSERVER_RESOLVED
	}
	if s.hop.Unreachable {
		entry.Flags |= abi.BpfServerFlagsSERVER_UNREACHABLE
	}
	if r.directors[key.addr.Addr()] {
		entry.Flags |= abi.BpfServerFlagsSERVER_DIRECTOR
	}
	if s.hop.Gateway.IsValid() {
		entry.Flags |= abi.BpfServerFlagsSERVER_BY_ROUTER
	}
	if err := r.setLocal(&entry, s); err != nil {
		return fmt.Errorf("enter the local address on the path: %w", err)
	}
	return r.serverTable.Put(s.index, entry)
}

// dropServer takes a server out of service. As in the kernel, its connections keep their
// entries and their packets are dropped until the server returns or they expire; with
// expires they are deleted by the next sweep.
func (r *Registry) dropServer(s *server, expires bool) error {
	if !s.present {
		return nil
	}
	s.present, s.written, s.expires, r.mayForget = false, nil, expires, true
	r.pathsChanged()
	r.expiring = r.expiring || expires
	err := r.putServer(s.key, s)
	// Only a sweep that began before the entry was written may miss a connection of this
	// server.
	s.removed = r.epoch()
	return err
}

// clearServers begins the counters of a service's servers at 0.
func (r *Registry) clearServers(service uint32) (err error) {
	for key, s := range r.servers {
		if key.service == service {
			err = errors.Join(err, r.ofServers.Begin(s.index, &s.tally))
		}
	}
	return err
}
