package service

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// Check returns one error with everything that Set would refuse. Services that are in force
// as they are wanted are not looked at.
func (r *Registry) Check(services []lvs.VirtualServer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, vs := range services {
		if s := r.services[vs.ServiceKey]; s != nil && s.holds(vs, s.lease) {
			continue
		}
		if err := checkServers(vs); err != nil {
			errs = append(errs, fmt.Errorf("virtual server %s: %w", vs.ServiceKey, err))
		}
	}
	return errors.Join(errs...)
}

func checkServers(vs lvs.VirtualServer) error {
	if err := checkService(vs); err != nil {
		return err
	}
	for _, rs := range vs.RealServers {
		if err := checkServer(vs, rs); err != nil {
			return fmt.Errorf("real server %s: %w", rs.AddrPort(), err)
		}
	}
	return nil
}

func checkService(vs lvs.VirtualServer) error {
	if vs.Mark == 0 && vs.Port == 0 && vs.Persistence.Timeout == 0 {
		return errors.New("a service of all ports takes persistence: give it a time-out")
	}
	if _, known := sched.RowOf(vs.Scheduler); !known {
		return fmt.Errorf("unknown scheduler %q", vs.Scheduler)
	}
	return nil
}

func checkServer(vs lvs.VirtualServer, rs lvs.RealServer) error {
	if rs.Method != lvs.Tunnel && vs.Addr.Is4() != rs.Addr.Is4() {
		return fmt.Errorf("%s to another address family: only TUN does that", rs.Method)
	}
	if rs.Weight < 0 || rs.Weight > math.MaxInt32 {
		return fmt.Errorf("weight %d: expected 0 to %d", rs.Weight, math.MaxInt32)
	}
	if rs.Lower > rs.Upper { // also where the upper one is none (ip_vs_add_dest, net/netfilter/ipvs/ip_vs_ctl.c)
		return fmt.Errorf("lower threshold %d: expected 0 to the upper one, %d: %w", rs.Lower, rs.Upper, unix.ERANGE)
	}
	if rs.Method == lvs.Masquerade && rs.Addr.IsLoopback() && rs.Port != vs.Port {
		return fmt.Errorf("NAT to another port of a loopback address: its answers could not leave; use another address of this machine, or port %d", vs.Port)
	}
	return nil
}

// Live counts the connections of a service's servers: those that are established,
// and of UDP, which never is, all.
func (r *Registry) Live(key lvs.ServiceKey) map[netip.AddrPort]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	live := map[netip.AddrPort]int{}
	s := r.services[key]
	if s == nil {
		return live
	}
	for _, server := range s.servers {
		var load abi.BpfLoad
		if err := r.maps.Loads.Lookup(server.index, &load); err == nil {
			live[server.key.addr] = int(load.Active)
			if key.Protocol != lvs.TCP {
				live[server.key.addr] += int(load.Inactive)
			}
		}
	}
	return live
}
