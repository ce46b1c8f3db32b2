package director

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/internal/cluster"
	"weir/lvs"
)

// serveHere sets this machine up as a real server where the configuration says
// that it is one by direct routing or a tunnel. What comes to it as master needs
// no tunnel, but while another director is the master, that one's packets come in
// one. It stays a real server when weir stops, or a reload takes the service away:
// another director may go on sending clients here.
func (d *Director) serveHere(p picture) error {
	direct, tunnelled, devices := d.servedHere(p, lvs.DirectRoute), d.servedHere(p, lvs.Tunnel), p.vipDevices()
	if len(direct) > 0 {
		if err := d.machine.Real.Start(direct, devices...); err != nil {
			return fmt.Errorf("set this machine up as a real server: %w", err)
		}
		d.stream.Publish(cluster.LocalServerSet(direct))
	}
	if len(tunnelled) > 0 {
		if err := d.machine.Real.StartTunnel(tunnelled, devices...); err != nil {
			return fmt.Errorf("set this machine up as a real server behind a tunnel: %w", err)
		}
		d.stream.Publish(cluster.LocalTunnelServerSet(tunnelled))
	}
	return nil
}

// servedHere lists the VIPs for which this machine is a real server by a method.
func (d *Director) servedHere(p picture, method lvs.ForwardMethod) (vips []netip.Addr) {
	for _, pool := range p.pools {
		here := false
		pool.Servers(func(rs lvs.RealServer) {
			here = here || rs.Method == method && d.surroundings.local(rs.Addr)
		})
		if here {
			pool.Addresses(func(a netip.Addr) {
				if !slices.Contains(vips, a) {
					vips = append(vips, a)
				}
			})
		}
	}
	return vips
}

// vipDevices are where this machine has VIPs while it is master: there, a real server
// may have them too.
func (p picture) vipDevices() (names []string) {
	for _, c := range p.cfg.VRRPInstances {
		for _, vip := range c.Addresses() {
			if !slices.Contains(names, vip.Device) {
				names = append(names, vip.Device)
			}
		}
	}
	return names
}
