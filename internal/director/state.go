package director

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"weir/conf"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
	"weir/internal/netlnk"
	"weir/lvs"
)

// State is what a configuration asks for on this machine as it is: Compute works out what a
// start would set up, and a director tells what it has set up in the same form. Times,
// counters, results of checks and who is master are no part of it.
type State struct {
	Instances []ha.Standing `json:"vrrp_instances"`
	// Devices are those of the data plane, in the order of their names.
	Devices []DeviceState `json:"devices"`
	// RealServer is this machine as a real server.
	RealServer RealServerState `json:"real_server"`
	// Servers are the next hops to the real servers, in the order of their addresses.
	Servers []ServerState `json:"servers"`
}

// DeviceState is a device of the data plane, and the hook that the configuration asks for.
type DeviceState struct {
	Name string   `json:"name"`
	Hook lvs.Hook `json:"hook"`
}

// RealServerState lists the VIPs that this machine is a real server for.
type RealServerState struct {
	Direct []netip.Addr `json:"direct"`
	Tunnel []netip.Addr `json:"tunnel"`
}

// ServerState is how packets to a real server leave this machine.
type ServerState struct {
	Addr netip.Addr `json:"address"`
	// Local says that it is this machine; Device is empty then, and where there is no
	// route.
	Local   bool       `json:"local,omitempty"`
	Device  string     `json:"device,omitempty"`
	Gateway netip.Addr `json:"gateway,omitzero"`
	MTU     int        `json:"mtu,omitempty"` // in bytes
	// From is the device's Ethernet address, To that of the next hop, "" where nobody
	// knows it (yet).
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Compute works out what a start with this configuration would set up on the machine of the
// calling thread's network namespace. It reads, and touches nothing. An instance that could
// not take part is in fault; so is one for whose sake a start would be refused.
func Compute(cfg *conf.Config) (State, error) {
	around := &surroundings{routes: kernel{}}
	if err := around.look(); err != nil {
		return State{}, fmt.Errorf("look at this machine's devices: %w", err)
	}
	p := picture{cfg: withoutServices(cfg)}
	for _, vs := range cfg.VirtualServers {
		p.pools = append(p.pools, pool.New(vs))
	}
	w := p.wanted(around)
	s := w.state()
	if err := s.everywhere(p); err != nil {
		return State{}, err
	}
	for i, c := range cfg.VRRPInstances {
		s.Instances = append(s.Instances, w.instances[i].Standing(c))
	}
	s.Servers = p.servers(around, func(a netip.Addr) (hop netlnk.NextHop) {
		hop, _ = netlnk.Resolve(a) // without a route there is none
		return hop
	})
	return s, nil
}

// State tells what has been set up. It may be called from any goroutine once Run has begun.
// The errors are those of Snapshot.
func (d *Director) State(ctx context.Context) (s State, err error) {
	asked := d.ask(ctx, "the state", func() {
		if err = d.surroundings.look(); err != nil {
			return
		}
		s = d.inForce.state()
		s.Instances = d.instances.Standings(d.cfg.VRRPInstances)
		hops := d.machine.Plane.Counters.Hops()
		s.Servers = d.servers(&d.surroundings, func(a netip.Addr) netlnk.NextHop { return hops[a] })
	})
	if asked != nil {
		return State{}, asked
	}
	report, reported := d.machine.Plane.Counters.Report()
	if reported != nil {
		return s, fmt.Errorf("read the data plane: %w", reported)
	}
	s.attached(report)
	return s, err
}

// everywhere adds the devices that nobody names and by which clients may come, and leaves
// out those that the configuration excludes, and lo, where packets only leave.
func (s *State) everywhere(p picture) error {
	s.Devices = slices.DeleteFunc(s.Devices, func(d DeviceState) bool {
		return d.Name == "lo" || slices.Contains(p.excluded(), d.Name)
	})
	if len(p.pools) == 0 {
		return nil
	}
	names, _, err := netlnk.ClientDevices()
	if err != nil {
		return err
	}
	for _, name := range names {
		named := slices.ContainsFunc(s.Devices, func(d DeviceState) bool { return d.Name == name })
		if !named && !slices.Contains(p.excluded(), name) {
			s.Devices = append(s.Devices, DeviceState{name, lvs.HookAuto})
		}
	}
	s.sortDevices()
	return nil
}

func (s *State) sortDevices() {
	slices.SortFunc(s.Devices, func(a, b DeviceState) int { return cmp.Compare(a.Name, b.Name) })
}

// attached leaves the devices that the data plane is attached to. Nobody names those that it
// has found itself, at hooks of its own choice.
func (s *State) attached(r Report) {
	var devices []DeviceState
	for _, at := range r.Devices {
		d := DeviceState{at.Name, lvs.HookAuto}
		if i := slices.IndexFunc(s.Devices, func(w DeviceState) bool { return w.Name == at.Name }); i >= 0 {
			d = s.Devices[i]
		}
		devices = append(devices, d)
	}
	s.Devices = devices
	s.sortDevices()
}

// state is a State but for its instances and servers.
func (w wanted) state() State {
	s := State{RealServer: RealServerState{w.served.direct, w.served.tunnelled}}
	for _, d := range w.devices {
		s.Devices = append(s.Devices, DeviceState(d))
	}
	s.sortDevices()
	return s
}

// servers lists the real servers with their next hops.
func (p picture) servers(around *surroundings, hop func(netip.Addr) netlnk.NextHop) (list []ServerState) {
	var addrs []netip.Addr
	for _, pool := range p.pools {
		pool.Servers(func(rs lvs.RealServer) { addrs = append(addrs, rs.Addr) })
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range slices.Compact(addrs) {
		s := ServerState{Addr: a}
		if h := hop(a); h.Local {
			s.Local = true
		} else {
			s.Device, s.Gateway, s.MTU, s.From, s.To = around.links[h.Index], h.Gateway, h.MTU, h.Src.String(), h.Dst.String()
		}
		list = append(list, s)
	}
	return list
}
