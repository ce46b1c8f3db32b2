package director

import (
	"fmt"

	"weir/internal/cluster"
)

// serveHere sets this machine up as a real server where the configuration says
// that it is one by direct routing or a tunnel. What comes to it as master needs
// no tunnel, but while another director is the master, that one's packets come in
// one. It stays a real server when weir stops, or a reload takes the service away:
// another director may go on sending clients here.
func (d *Director) serveHere(s served) error {
	if len(s.direct) > 0 {
		if err := d.machine.Real.Start(s.direct, s.devices...); err != nil {
			return fmt.Errorf("set this machine up as a real server: %w", err)
		}
		d.stream.Publish(cluster.LocalServerSet(s.direct))
	}
	if len(s.tunnelled) > 0 {
		if err := d.machine.Real.StartTunnel(s.tunnelled, s.devices...); err != nil {
			return fmt.Errorf("set this machine up as a real server behind a tunnel: %w", err)
		}
		d.stream.Publish(cluster.LocalTunnelServerSet(s.tunnelled))
	}
	return nil
}
