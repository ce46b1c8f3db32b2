// Package director is the brain: it holds the one picture of the cluster, which
// a single goroutine, the loop, owns. Checkers and VRRP instances post to it what
// happens; it works out the wanted state and hands it, whole, to the engines: the data
// plane, the VIPs, the real server's side of this machine. A reload is a transaction of
// the same loop: what can fail comes first, each step with its way back.
package director

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
	"weir/internal/director/setter"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/script"
	"weir/internal/track"
	"weir/internal/vip"
	"weir/lvs"
)

// Director runs one configuration.
type Director struct {
	machine Machine
	stream  *cluster.Stream
	log     *slog.Logger // for engines: what they log is published
	events  chan event
	stopped chan struct{} // closed when the loop reads no more events
	drift   *drift.Ledger
	vips    *vip.Engine
	began   time.Time

	// What follows belongs to the loop's goroutine.
	picture
	slowStarters pool.Pools // of the picture's
	inForce      wanted     // what the picture wants of this machine, as it has been set up
	loaded       time.Time  // when the configuration came
	instances    *ha.Instances
	checks       pool.Checks
	trackers     track.Trackers
	shared       check.Shared // what the checks' goroutines read
	bfd          Sessions
	adopted      []lvs.Director // directors that an earlier process had heard
	surroundings surroundings
	following    followers
	troubles     troubles
	coming       *coming         // what a reload that is under way leads to; nil without one
	asked        bool            // the event that is handled is a question
	also         []cluster.Event // what the event that is handled leads to, beside its own
	decided      bool            // a quorum may have changed that instances follow

	// What follows is any goroutine's.
	plane     setter.Setter
	panics    panics
	conflicts conflicts
	reloads   chan struct{} // holds one while a plan or a reload is under way
	passive   passive
}

// event is something that happened: it changes the picture. Where the data plane has to
// follow, it returns what to publish once it has.
type event func() *cluster.Event

// New makes a director; Run starts it. What happens is published in the stream.
func New(cfg *conf.Config, m Machine, stream *cluster.Stream) *Director {
	log, now := stream.Logger(), time.Now()
	d := &Director{
		machine: m, stream: stream, log: log, events: make(chan event, 64), stopped: make(chan struct{}),
		drift: drift.NewLedger(log), began: now, loaded: now, picture: picture{cfg: withoutServices(cfg)},
		adopted: m.Plane.Left.Directors(), surroundings: surroundings{routes: m.Routes, log: log},
		reloads: make(chan struct{}, 1),
	}
	d.following = newFollowers(func(then func(error)) { d.plane.Soon(d.plan(), then) }, stream.Publish)
	d.plane.Set = func(plan lvs.Plan) error {
		return d.try(stateWanted, func() error { return d.machine.Plane.Forwarder.Set(plan) })
	}
	d.vips = vip.New(m.Addresses, m.Announcer, d.drift, vip.Reports{
		Failed:  func(failed []vip.Failure) { ha.MoveFailed(stream.Publish, failed) },
		Unheard: func(label string, a netip.Addr, err error) { stream.Publish(cluster.VIPAnnounceFailed(label, a, err)) },
	})
	d.surroundings.setDelays(delaysOf(cfg))
	d.vips.SetPaces(pacesOf(cfg))
	d.instances = ha.New(d.forInstances())
	fromRow := func(c conf.Check) check.Checker { return pool.FromRow(c, &d.shared) }
	sourceFromRow := func(c conf.Check) check.Source { return pool.SourceFromRow(c, &d.shared) }
	d.shared.Files.Log = log
	d.bfd = m.BFD(log)
	d.shared.BFD = d.bfd
	d.checks = pool.Checks{New: fromRow, Follow: sourceFromRow, Report: d.checked, Trouble: d.troubled, Log: log, Here: d.surroundings.has, Loud: &atomic.Bool{}}
	d.checks.Loud.Store(cfg.Global.LogAllFailures)
	d.shared.Scripts.Store(script.RulesOf(&cfg.Global))
	if m.AnswersARP != nil {
		d.shared.AnswersARP = d.answersARP
	}
	d.trackers = track.Trackers{Report: d.tracked, Rules: d.shared.Scripts.Load, Sessions: d.bfd, Log: log}
	for _, vs := range cfg.VirtualServers {
		p := pool.New(vs)
		p.TakeUp(m.Plane.Left)
		d.pools = append(d.pools, p)
	}
	d.slowStarters = d.pools.SlowStarters()
	d.passive.changed = make(chan struct{}, 1)
	d.passive.want(d.pools.Passive())
	d.passive.tell = d.opened
	return d
}

// Run serves until ctx ends, and then hands over: a master stays one until
// another has taken its place.
func (d *Director) Run(ctx context.Context) error {
	client, err := check.LoadClient(d.cfg)
	if err != nil {
		return err
	}
	d.shared.Client.Store(client)
	ha.SetPriority(&d.cfg.Global)
	d.instances.SetStatic(d.cfg.Machine, d.cfg.Global.DefaultInterface)
	if err := d.instances.PutStatic(); err != nil {
		return err
	}
	if err := d.makeVMACsFor(d.cfg.VRRPInstances); err != nil {
		return err
	}
	d.loadAhead()
	w, err := d.want(d.picture)
	if err == nil {
		err = d.missing(nil, &d.surroundings)
	}
	if err != nil {
		return err
	}
	initFiles(d.cfg.TrackFiles, d.log)
	d.inForce = w
	if err := d.serveHere(w.served); err != nil {
		return err
	}
	if err := d.instances.Open(d.cfg.VRRPInstances, w.instances); err != nil {
		return err
	}
	defer d.instances.Close()
	defer d.plane.Stop()
	if err := d.setUpPlane(); err != nil {
		return fmt.Errorf("set up the data plane: %w", err)
	}
	if err := d.bfd.Set(check.SessionsOf(d.cfg.BFDs)); err != nil {
		return err
	}
	defer d.endSessions()
	watch, err := d.machine.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch the devices: %w", err)
	}
	tasks, ctx := errgroup.WithContext(ctx)
	start := func(task func(context.Context) error) context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		tasks.Go(func() error { return task(ctx) })
		return stop
	}
	d.trackers.Start = start
	d.instances.Track(ha.TrackingOf(d.cfg), d.trackers.Set(d.cfg))
	setQuorums(d.cfg.VRRPInstances, d.pools, d.instances)
	if d.machine.TakeOver != nil {
		d.machine.TakeOver()
	}
	if err := d.instances.Run(start); err != nil {
		return err
	}
	d.dropVMACs(d.cfg.VRRPInstances)
	d.watchConflicts()
	for _, claims := range d.machine.Claims {
		start(func(ctx context.Context) error { return d.listenForConflicts(ctx, claims) })
	}
	crew := check.NewCrew(ctx) // the checks that run
	d.checks.Start = func(r *check.Runner) context.CancelFunc { return r.Start(crew) }
	d.checks.Run = start
	d.checks.Slots = slots(d.machine.Files)
	d.checks.Set(nil, d.pools)
	start(d.machine.Plane.Run)
	start(func(ctx context.Context) error { d.passive.run(ctx, d.machine.Plane.Opened, d.log); return nil })
	// Before the loop, which is the one to tell of later things.
	d.stream.Publish(cluster.DirectorStarted(len(d.pools), d.instances.Len()))
	start(func(ctx context.Context) error { return d.loop(ctx, watch) })
	err = tasks.Wait()
	crew.Wait()
	if len(d.instances.Kept()) == 0 { // otherwise the keeper needs them
		d.dropVMACs(nil)
	}
	return err
}

// loadAhead has the kernel verify programs while everything else is worked out: those for the
// devices that few virtual servers lead to, which most often are all.
func (d *Director) loadAhead() {
	if d.surroundings.look() != nil {
		return // want says it
	}
	defer d.surroundings.close()
	few := picture{cfg: d.cfg, pools: d.pools[:min(len(d.pools), 16)]}
	d.machine.Plane.Forwarder.Ahead(d.planOf(few, wanted{devices: few.devices(&d.surroundings)}))
}

// endSessions ends those of BFD; without sessions there is no port to fail on.
func (d *Director) endSessions() { _ = d.bfd.Set(nil) }

// setUpPlane sets the data plane up for the first time. Its programs take the kernel a while
// to verify: where devices have come or gone meanwhile, it is tried again with what there is.
func (d *Director) setUpPlane() error {
	for {
		before := d.surroundings.picture
		err := d.plane.Now(d.plan())
		if err == nil {
			return nil
		}
		d.surroundings.heard(netlnk.Overrun)
		w, failed := d.want(d.picture)
		if failed != nil || d.surroundings.picture.SameDevices(before) {
			return err
		}
		d.inForce.devices = w.devices
	}
}

// forInstances is what the instances reach the machine and the loop by.
func (d *Director) forInstances() ha.Machine {
	return ha.Machine{
		Leases: d.machine.Plane.Leases, VIPs: d.vips, Log: d.log, Tell: d.stream.Publish,
		Open:       func(c ha.LinkConfig) (ha.Transport, error) { return d.machine.OpenLink(c, d.log) },
		StartDelay: startDelay(&d.cfg.Global),
		Learn: func(h ha.Heard) bool {
			select {
			case d.events <- func() *cluster.Event { return d.instances.Learn(h) }:
				return true
			default:
				return false
			}
		},
		Lost: d.peerLost, Unknown: d.unknownVRID,
	}
}

// unknownVRID tells of an advert that no instance is for, where log_unknown_vrids says so. It
// does not wait: another one comes in a minute.
func (d *Director) unknownVRID(heardBy lvs.InstanceID, vrid uint8, from netip.Addr) {
	select {
	case d.events <- func() *cluster.Event {
		if d.cfg.Global.LogUnknownVRIDs {
			if e := d.instances.Unknown(heardBy, vrid, from); e != nil {
				d.stream.Publish(*e)
			}
		}
		return nil
	}:
	default:
	}
}

// tracked hands a tracker's verdict to the loop.
func (d *Director) tracked(k track.Key, v track.Verdict) {
	d.post(func() *cluster.Event {
		d.instances.Judge(k, v)
		return nil
	})
}

// checked hands a checker's result to the loop.
func (d *Director) checked(c *pool.Checker, r check.Verdict) {
	d.post(func() *cluster.Event {
		turned := c.Turned(r)
		e := c.Judge(r)
		d.catchUp(c)
		if e == nil && turned != nil {
			d.stream.Publish(*turned)
		}
		quorum := c.Quorum()
		if quorum != nil {
			d.also = append(d.also, *quorum)
		}
		d.also = append(d.also, c.Tiers()...)
		d.decided = d.decided || quorum != nil || turned != nil && turned.Kind == cluster.FirstCheckFailed
		return e
	})
}

// opened hands to the loop what became of new connections.
func (d *Director) opened(all []lvs.Opened) {
	d.post(func() *cluster.Event {
		for _, e := range d.pools.Opened(all, time.Now()) {
			d.stream.Publish(e)
		}
		return nil
	})
}
