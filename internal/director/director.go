// Package director is the brain: it holds the one picture of the cluster, which
// a single goroutine owns. Checkers and VRRP instances send it events; it works
// out the wanted state and hands it, whole, to the data plane.
package director

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/conf"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/lvs"
)

// DataPlane is what the director asks of the data plane.
type DataPlane interface {
	// Set makes the data plane do what the plan says.
	Set(lvs.Plan) error
	// Renew lets an instance's services forward for d after an advertisement
	// was sent, Release ends that at once, Leased says whether it still runs.
	Renew(id lvs.InstanceID, sent time.Time, d time.Duration) error
	Release(id lvs.InstanceID) error
	Leased(id lvs.InstanceID) (bool, error)
	// Serving lists the servers that an earlier process left in a service; ok is
	// false where there was no such service.
	Serving(lvs.ServiceKey) (servers []netip.AddrPort, ok bool)
	// Directors are the other directors that an earlier process had heard.
	Directors() []net.HardwareAddr
	// Run keeps the data plane's ways fresh until ctx ends.
	Run(ctx context.Context) error
}

// RealServer prepares this machine to be a real server. Both are idempotent.
type RealServer interface {
	// Start puts the VIPs on lo and keeps the machine from answering ARP for
	// them, as direct routing needs.
	Start(vips []netip.Addr) error
	// StartTunnel has packets for them come out of tunnels, too.
	StartTunnel(vips []netip.Addr) error
	// Repair puts back what somebody changed of that, and says in words what that
	// was. The loop calls it once a second.
	Repair() (astray []string, err error)
}

// Director runs one configuration.
type Director struct {
	cfg        *conf.Config
	plane      DataPlane
	realserver RealServer
	log        *slog.Logger
	events     chan event
	stopped    chan struct{} // closed when the loop reads no more events
	drift      *drift.Ledger

	// What follows belongs to the loop's goroutine.
	pools     []*pool
	instances []*instance
	directors map[peer]net.HardwareAddr
	adopted   []net.HardwareAddr // directors that an earlier process had heard
}

// peer is where another director's advertisements come from.
type peer struct {
	instance lvs.InstanceID
	addr     netip.Addr
}

// event is something that happened: it changes the picture. Where the data
// plane has to follow, it returns what to do, mostly to say, once it has.
type event func(d *Director) (then func())

// New makes a director; Run starts it.
func New(cfg *conf.Config, plane DataPlane, rs RealServer, log *slog.Logger) *Director {
	d := &Director{
		cfg: cfg, plane: plane, realserver: rs, log: log,
		events: make(chan event, 64), stopped: make(chan struct{}), drift: drift.NewLedger(log),
		directors: map[peer]net.HardwareAddr{}, adopted: plane.Directors(),
	}
	for _, vs := range cfg.VirtualServers {
		d.pools = append(d.pools, newPool(vs, plane))
	}
	return d
}

// Run serves until ctx ends, and then hands over: a master stays one until
// another has taken its place.
func (d *Director) Run(ctx context.Context) error {
	if err := d.serveHere(); err != nil {
		return err
	}
	if err := d.openInstances(); err != nil {
		return err
	}
	defer d.closeInstances()
	if err := d.plane.Set(d.plan()); err != nil {
		return fmt.Errorf("set up the data plane: %w", err)
	}
	watch, err := netlnk.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch the devices: %w", err)
	}
	tasks, ctx := errgroup.WithContext(ctx)
	for _, in := range d.instances {
		if err := in.start(d.log); err != nil {
			return err
		}
		tasks.Go(func() error { return in.vrrp.Run(ctx) })
	}
	for _, runner := range d.runners() {
		tasks.Go(func() error { return runner.Run(ctx) })
	}
	tasks.Go(func() error { return d.plane.Run(ctx) })
	tasks.Go(func() error { return d.loop(ctx, watch) })
	tasks.Go(func() error { return d.watchDrift(ctx) })
	d.log.Info("started", "virtual_servers", len(d.pools), "vrrp_instances", len(d.instances))
	return tasks.Wait()
}

// loop owns the picture.
func (d *Director) loop(ctx context.Context, watch <-chan netlnk.Event) error {
	defer close(d.stopped)
	d.checkInterfaces()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-d.events:
			then := e(d)
			if then == nil {
				continue
			}
			if err := d.plane.Set(d.plan()); err != nil {
				d.log.Error("set the data plane", "error", err)
			}
			then()
		case _, ok := <-watch:
			if !ok {
				watch = nil // ctx has ended, or the kernel's reports have
				continue
			}
			d.checkInterfaces()
		}
	}
}

// post hands an event to the loop, unless it has stopped.
func (d *Director) post(e event) {
	select {
	case d.events <- e:
	case <-d.stopped:
	}
}

// serveHere sets this machine up as a real server where the configuration says
// that it is one by direct routing or a tunnel. What comes to it as master needs
// no tunnel, but while another director is the master, that one's packets come in
// one. It stays a real server when weir stops: the other goes on sending clients
// here.
func (d *Director) serveHere() error {
	direct, err := d.servedHere(lvs.DirectRoute)
	if err != nil {
		return err
	}
	tunnelled, err := d.servedHere(lvs.Tunnel)
	if err != nil {
		return err
	}
	if len(direct) > 0 {
		if err := d.realserver.Start(direct); err != nil {
			return fmt.Errorf("set this machine up as a real server: %w", err)
		}
		d.log.Info("this machine is a real server", "vips", direct)
	}
	if len(tunnelled) > 0 {
		if err := d.realserver.StartTunnel(tunnelled); err != nil {
			return fmt.Errorf("set this machine up as a real server behind a tunnel: %w", err)
		}
		d.log.Info("this machine is a real server behind a tunnel", "vips", tunnelled)
	}
	return nil
}

// servedHere lists the VIPs for which this machine is a real server by a method.
func (d *Director) servedHere(method lvs.ForwardMethod) (vips []netip.Addr, err error) {
	for _, p := range d.pools {
		for _, m := range p.members {
			local, err := netlnk.LocalAddr(m.server.Addr)
			if err != nil {
				return nil, fmt.Errorf("look for %s on this machine: %w", m.server.Addr, err)
			}
			if local && m.server.Method == method {
				vips = p.addresses(vips)
			}
		}
	}
	return vips, nil
}

// addresses adds those of the pool's services to a list.
func (p *pool) addresses(list []netip.Addr) []netip.Addr {
	for _, key := range p.keys {
		if key.Mark == 0 && !slices.Contains(list, key.Addr) {
			list = append(list, key.Addr)
		}
	}
	return list
}
