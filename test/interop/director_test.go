package interop

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/fakenet"
	"weir/internal/script"
	"weir/internal/track"
	vips "weir/internal/vip"
	"weir/lvs"
	"weir/vrrp"
)

// stated is the states that instances have entered, in their order.
type stated struct {
	mu   sync.Mutex
	list []string
	now  map[string]string // by instance
}

func (s *stated) note(instance, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		s.now = map[string]string{}
	}
	if s.now[instance] != state {
		s.now[instance] = state
		s.list = append(s.list, instance+" "+state)
	}
}

// of lists the states of one instance, in their order.
func (s *stated) of(instance string) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.list {
		var name, state string
		fmt.Sscan(line, &name, &state)
		if name == instance {
			list = append(list, state)
		}
	}
	return list
}

func (s *stated) state(instance string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now[instance]
}

// director is weir's instances, groups and trackers with real sockets on a host. Its leases
// and its addresses are a machine's without a kernel: these stories ask for states only.
type director struct {
	*ha.Instances
	host     *host
	cfg      *conf.Config
	trackers track.Trackers
	events   chan func()
	ledger   *drift.Ledger
	states   stated
	log      hearing
}

// announcer is a fake machine's.
type announcer struct{ *fakenet.Machine }

func (a announcer) Open(device string) (vips.Speaker, error) { return a.OpenSpeaker(device) }

// startDirector runs what a file says on a host until the end of the test.
func startDirector(t *testing.T, h *host, text string) *director {
	t.Helper()
	cfg, diags := conf.Parse("main.conf", []byte(text))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	d := &director{host: h, cfg: cfg, events: make(chan func(), 64)}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &d.log), nil))
	d.ledger = drift.NewLedger(log)
	fake := fakenet.NewSegment().Machine("192.168.25.31/24")
	fake.Plug("ens160", 10, "192.168.25.31/24")
	fake.Plug("ens192", 11, "192.168.26.31/24")
	must(t, fake.Set(lvs.Plan{Instances: ha.Plan(cfg.VRRPInstances)}))
	engine := vips.New(fake, announcer{fake}, d.ledger, vips.Reports{Failed: func([]vips.Failure) {}, Unheard: func(string, netip.Addr, error) {}})
	d.Instances = ha.New(ha.Machine{
		Leases: fake, VIPs: engine, Log: log, StartDelay: cfg.Global.StartupDelay,
		Tell: func(cluster.Event) {}, Learn: func(ha.Heard) bool { return true },
		Open: func(c ha.LinkConfig) (link ha.Transport, err error) {
			err = within(h.ns, func() (err error) {
				link, err = vrrp.OpenLink(c, log)
				return err
			})
			return link, err
		},
	})
	d.trackers = track.Trackers{
		Report: func(k track.Key, v track.Verdict) { d.events <- func() { d.Judge(k, v) } },
		Rules:  func() *script.Rules { return &script.Rules{User: "root"} }, Log: log,
	}
	d.run(t)
	return d
}

// run is the director's loop.
func (d *director) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	start := func(task func(context.Context) error) context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		tasks.Go(func() { task(ctx) })
		return stop
	}
	must(t, d.Open(d.cfg.VRRPInstances, d.bindings(t)))
	d.trackers.Start = start
	d.Track(ha.TrackingOf(d.cfg), d.trackers.Set(d.cfg))
	must(t, d.Run(start))
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-d.events:
				e()
			case <-tick.C:
				d.Follow(d.bindings(t), d.ledger)
			}
			for _, in := range d.Snapshot() {
				d.states.note(in.Name, map[cluster.State]string{cluster.Backup: "BACKUP", cluster.Master: "MASTER", cluster.Fault: "FAULT"}[in.State])
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-looked
		tasks.Wait()
		d.Close()
	})
}

func (d *director) bindings(t *testing.T) []ha.Binding {
	var p *netlnk.Picture
	if err := within(d.host.ns, func() (err error) {
		p, err = netlnk.Look()
		return err
	}); err != nil {
		t.Error(err)
		return nil
	}
	all := ha.Bindings(d.cfg.VRRPInstances, p)
	ha.BindTracked(ha.TrackingOf(d.cfg), d.cfg.VRRPInstances, all, p)
	return all
}
