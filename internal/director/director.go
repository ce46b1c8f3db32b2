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
	"time"

	"golang.org/x/sync/errgroup"

	"weir/conf"
	"weir/internal/cluster"
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
	// Check says what of a plan cannot be, without doing any of it.
	Check(lvs.Plan) error
	// Live counts the connections of the servers of a service.
	Live(lvs.ServiceKey) map[netip.AddrPort]int
	// Report reads what the data plane has counted. Any goroutine may call it.
	Report() (Report, error)
	// Run keeps the data plane's ways fresh until ctx ends.
	Run(ctx context.Context) error
}

// RealServer prepares this machine to be a real server. Both are idempotent.
type RealServer interface {
	// Start puts the VIPs on lo and keeps the machine from answering ARP for
	// them, as direct routing needs. On these devices it holds addresses while it
	// is master; none are those of before.
	Start(vips []netip.Addr, devices ...string) error
	// StartTunnel has packets for them come out of tunnels, too.
	StartTunnel(vips []netip.Addr, devices ...string) error
	// Repair puts back what somebody changed of that, and says in words what that
	// was. The loop calls it once a second.
	Repair() (astray []string, err error)
	// Stop undoes both.
	Stop(vips []netip.Addr) error
}

// Director runs one configuration.
type Director struct {
	plane      DataPlane
	realserver RealServer
	stream     *cluster.Stream
	log        *slog.Logger // for engines: what they log is published
	events     chan event
	stopped    chan struct{} // closed when the loop reads no more events
	drift      *drift.Ledger

	// What follows belongs to the loop's goroutine.
	picture
	instances    []*instance
	opened       []*instance // that a reload under way adds
	directors    map[peer]net.HardwareAddr
	adopted      []net.HardwareAddr // directors that an earlier process had heard
	surroundings surroundings
	started      time.Time
	loaded       time.Time // when the configuration came
	// start runs a task beside the others, until it is stopped.
	start func(task func(context.Context) error) (stop context.CancelFunc)
}

// peer is where another director's advertisements come from.
type peer struct {
	instance lvs.InstanceID
	addr     netip.Addr
}

// event is something that happened: it changes the picture. Where the data
// plane has to follow, it returns what to do, mostly to say, once it has.
type event func(d *Director) (then func())

// New makes a director; Run starts it. What happens is published in the stream.
func New(cfg *conf.Config, plane DataPlane, rs RealServer, stream *cluster.Stream) *Director {
	log, now := stream.Logger(), time.Now()
	d := &Director{
		picture: picture{cfg: withoutServices(cfg)}, plane: plane, realserver: rs, stream: stream, log: log,
		events: make(chan event, 64), stopped: make(chan struct{}), drift: drift.NewLedger(log), started: now, loaded: now,
		directors: map[peer]net.HardwareAddr{}, adopted: plane.Directors(),
	}
	for _, vs := range cfg.VirtualServers {
		p := newPool(vs)
		p.takeUp(plane)
		d.pools = append(d.pools, p)
	}
	return d
}

// Run serves until ctx ends, and then hands over: a master stays one until
// another has taken its place.
func (d *Director) Run(ctx context.Context) error {
	if err := d.serveHere(d.picture); err != nil {
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
	d.start = func(task func(context.Context) error) context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		tasks.Go(func() error { return task(ctx) })
		return stop
	}
	for _, in := range d.instances {
		if err := in.takeUp(d.log); err != nil {
			return err
		}
		in.stop = d.start(in.run)
	}
	d.setProbes(d.pools)
	d.start(d.plane.Run)
	d.start(func(ctx context.Context) error { return d.loop(ctx, watch) })
	d.stream.Publish(cluster.DirectorStarted(len(d.pools), len(d.instances)))
	return tasks.Wait()
}

// loop owns the picture.
func (d *Director) loop(ctx context.Context, watch <-chan netlnk.Event) error {
	defer close(d.stopped)
	d.checkInterfaces()
	look := time.NewTimer(repairEvery)
	defer look.Stop()
	soon := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-d.events:
			d.handle(e)
		case <-look.C:
			d.repair()
			look.Reset(repairEvery)
			soon = false
		case report, ok := <-watch:
			if !ok {
				watch = nil // ctx has ended, or the kernel's reports have
				continue
			}
			d.surroundings.heard(report.Kind)
			d.checkInterfaces()
			if drifts := report.Kind == netlnk.AddressChanged || report.Kind == netlnk.LinkChanged; drifts && !soon {
				look.Reset(repairSoon)
				soon = true
			}
		}
	}
}

// mostAtOnce bounds how many events wait for the data plane to follow.
const mostAtOnce = 4096

// handle takes in an event and those that wait behind it, and has the data plane
// follow them all at once: a rack that goes down is one change of the tables.
func (d *Director) handle(e event) {
	var thens []func()
	for n := 0; e != nil; n++ {
		if then := e(d); then != nil {
			thens = append(thens, then)
		}
		e = nil
		if n < mostAtOnce {
			select {
			case e = <-d.events:
			default:
			}
		}
	}
	if len(thens) == 0 {
		return
	}
	if err := d.plane.Set(d.plan()); err != nil {
		d.stream.Publish(cluster.PlaneSetFailed(err))
	}
	for _, then := range thens {
		then()
	}
}

// post hands an event to the loop, unless it has stopped.
func (d *Director) post(e event) {
	select {
	case d.events <- e:
	case <-d.stopped:
	}
}
