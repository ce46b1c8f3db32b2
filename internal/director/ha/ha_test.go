package ha

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/fakenet"
	"weir/internal/vip"
	"weir/lvs"
	"weir/vrrp"
)

// bed is instances on a machine, with no loop: the test's goroutine is it.
type bed struct {
	*Instances
	t      *testing.T
	fake   *fakenet.Machine
	ledger *drift.Ledger
	cfgs   []conf.VRRPInstance // in force
	heard  chan Heard
	tasks  sync.WaitGroup
	mu     sync.Mutex
	told   []string
}

type announcer struct{ *fakenet.Machine }

func (a announcer) Open(device string) (vip.Speaker, error) { return a.OpenSpeaker(device) }

// newBed makes the data plane know the instances, and opens them.
func newBed(t *testing.T, fake *fakenet.Machine, cfgs ...conf.VRRPInstance) *bed {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := &bed{t: t, fake: fake, ledger: drift.NewLedger(log), heard: make(chan Heard, 1)}
	tell := func(e cluster.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, string(e.Kind)+" "+e.Instance)
	}
	vips := vip.New(fake, announcer{fake}, b.ledger, vip.Reports{
		Failed:  func(failed []vip.Failure) { MoveFailed(tell, failed) },
		Unheard: func(label string, a netip.Addr, err error) { tell(cluster.VIPAnnounceFailed(label, a, err)) },
	})
	b.Instances = New(Machine{
		Leases: fake, VIPs: vips, Log: log, Tell: tell,
		Open: func(c LinkConfig) (Transport, error) {
			t, err := fake.OpenLink(c)
			if err != nil {
				return nil, err
			}
			return t, nil
		},
		Learn: func(h Heard) bool {
			select {
			case b.heard <- h:
				return true
			default:
				return false
			}
		},
	})
	if err := b.Open(cfgs, Bindings(cfgs, b.look())); err != nil {
		t.Fatal(err)
	}
	b.cfgs = cfgs
	b.plan(cfgs...)
	return b
}

func (b *bed) look() *netlnk.Picture {
	b.t.Helper()
	p, err := b.fake.Look()
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// follow has the instances follow the machine.
func (b *bed) follow() { b.Follow(Bindings(b.cfgs, b.look()), b.ledger) }

// plan has the data plane know instances.
func (b *bed) plan(cfgs ...conf.VRRPInstance) {
	b.t.Helper()
	if err := b.fake.Set(lvs.Plan{Instances: Plan(cfgs)}); err != nil {
		b.t.Fatal(err)
	}
}

// run begins, and returns what stops it.
func (b *bed) run() (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	err := b.Run(func(task func(context.Context) error) context.CancelFunc {
		ctx, stop := context.WithCancel(ctx)
		b.tasks.Go(func() { task(ctx) })
		return stop
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return func() {
		cancel()
		b.tasks.Wait()
		b.Close()
		if b.fake.Open() != 0 {
			b.t.Errorf("%d transports are open in the end", b.fake.Open())
		}
	}
}

// reload goes on with other instances, as a transaction does.
func (b *bed) reload(cfgs ...conf.VRRPInstance) error {
	var undo []func() error
	err := b.Prepare(cfgs, Bindings(cfgs, b.look()), &undo)
	if err == nil {
		b.plan(cfgs...)
		err = b.SetVIPs(cfgs)
	}
	if err != nil {
		for _, back := range slices.Backward(undo) {
			err = errors.Join(err, back())
		}
		return err
	}
	b.Commit(cfgs)
	b.cfgs = cfgs
	return nil
}

// want compares the states of all, and the VIPs on eth0.
func (b *bed) want(states, vips string) {
	b.t.Helper()
	synctest.Wait()
	var got, have []string
	for _, in := range b.Snapshot() {
		got = append(got, in.Name+" "+string(in.State))
	}
	for _, p := range b.fake.Prefixes("eth0")[1:] {
		have = append(have, p.String())
	}
	slices.Sort(have)
	if strings.Join(got, ", ") != states || strings.Join(have, " ") != vips {
		b.t.Errorf("states %q with %q, want %q with %q", got, have, states, vips)
	}
}

func (b *bed) wantTold(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.told, want) {
		b.t.Errorf("told %q, want %q", b.told, want)
	}
	b.told = nil
}

// wantToldInAnyOrder is for what goroutines tell that do not wait for each other.
func (b *bed) wantToldInAnyOrder(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	slices.Sort(b.told)
	b.mu.Unlock()
	b.wantTold(slices.Sorted(slices.Values(want))...)
}

// on is an instance on eth0.
func on(vrid, priority uint8, addresses ...string) conf.VRRPInstance {
	c := conf.VRRPInstance{Name: fmt.Sprintf("VI_%d", vrid), Interface: "eth0", VRID: vrid, Priority: priority, AdvertInterval: time.Second}
	for _, a := range addresses {
		c.VIPs = append(c.VIPs, conf.VIP{Prefix: netip.MustParsePrefix(a), Device: "eth0"})
	}
	return c
}

// simulate runs the body in a bubble, on a segment with two machines.
func simulate(t *testing.T, body func(t *testing.T, s *fakenet.Segment, m1, m2 *fakenet.Machine)) {
	synctest.Test(t, func(t *testing.T) {
		s := fakenet.NewSegment()
		body(t, s, s.Machine("192.0.2.1/24"), s.Machine("192.0.2.2/24"))
	})
}

const vip1, vip2 = "192.0.2.100/32", "192.0.2.101/32"

// A mastership passes from one director to another, in the order that RFC 3768 asks
// for, and each learns of the other one.
func TestMastership(t *testing.T) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, m1, m2 *fakenet.Machine) {
		secret := on(51, 100, vip1)
		secret.Auth = conf.Auth{Type: conf.AuthPass, Password: "1111"}
		other := secret
		other.Priority = 200
		b := newBed(t, m1, secret)
		defer b.run()()
		if b.Len() != 1 {
			t.Errorf("%d instances, want 1", b.Len())
		}
		time.Sleep(4 * time.Second)
		b.want("VI_51 master", vip1)
		if got := m1.Calls(); !slices.Equal(got, []string{"add " + vip1, "announce 192.0.2.100"}) {
			t.Errorf("done %v", got)
		}
		b.heard <- Heard{} // there is no room for what comes first
		o := newBed(t, m2, other)
		stop := o.run()
		time.Sleep(4 * time.Second)
		b.want("VI_51 backup", "")
		o.want("VI_51 master", vip1)
		if e := b.Learn(<-b.heard); e.Kind != cluster.OtherDirector {
			t.Errorf("it tells %+v", e)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		h := <-b.heard
		if h.Addr.String() != "192.0.2.2" || h.MAC.String() != "02:00:00:00:00:02" || h.Name != "VI_51" {
			t.Errorf("heard %+v", h)
		}
		b.Learn(h)
		if got := b.Directors(); len(got) != 2 || !slices.ContainsFunc(got, func(d lvs.Director) bool { return d.MAC.String() == h.MAC.String() }) {
			t.Errorf("directors %v", got)
		}
		stop()
		b.want("VI_51 master", vip1)
		b.wantTold()
	})
}

// A process goes on as master where the lease runs and all VIPs are here; it clears
// them otherwise.
func TestTakeUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lease time.Duration
		vips  []string
		want  string
		told  []string
	}{
		{"all is here", time.Second, []string{vip1, vip2}, "VI_51 master", []string{"resumed VI_51"}},
		{"no lease", 0, []string{vip1, vip2}, "VI_51 backup", nil},
		{"not all VIPs", time.Second, []string{vip1}, "VI_51 backup", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
				b := newBed(t, m, on(51, 100, vip1, vip2))
				m.Renew(ID(on(51, 100)), time.Now(), tt.lease)
				for _, v := range tt.vips {
					m.Give("eth0", netip.MustParsePrefix(v))
				}
				defer b.run()()
				have := ""
				if tt.told != nil {
					have = vip1 + " " + vip2
				}
				b.want(tt.want, have)
				b.wantTold(tt.told...)
			})
		})
	}
}

// Advertisements come from the device's own address, not from a VIP of any instance, nor
// one that another weir has added; also after a reload.
func TestSourceIsNoVIP(t *testing.T) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, _, _ *fakenet.Machine) {
		m := s.Machine("192.0.2.100/32")
		m.Add("eth0", netip.MustParsePrefix("192.0.2.103/32"), 0)
		m.Give("eth0", netip.MustParsePrefix("192.0.2.101/24"))
		m.Give("eth0", netip.MustParsePrefix("192.0.2.1/24"))
		cfgs := []conf.VRRPInstance{on(51, 100, vip1), on(52, 100, vip2)}
		b := newBed(t, m, cfgs...)
		defer b.run()()
		if err := b.reload(append(cfgs, on(53, 100, "192.0.2.102/32"))...); err != nil {
			t.Fatal(err)
		}
		for _, in := range b.list {
			if got := in.cfg.SourceIP.String(); got != "192.0.2.1" {
				t.Errorf("%s speaks from %s", in.id, got)
			}
		}
	})
}

// A process removes what one before it has added and its configuration has no more, and
// tells of it; other addresses stay.
func TestOldVIPsGo(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1))
		m.Add("eth0", netip.MustParsePrefix(vip1), 0)
		m.Add("eth0", netip.MustParsePrefix("192.0.2.102/32"), 0)
		m.Give("eth0", netip.MustParsePrefix(vip2))
		m.Renew(ID(on(51, 100)), time.Now(), time.Second)
		defer b.run()()
		b.want("VI_51 master", vip1+" "+vip2)
		b.wantTold("old_vip_removed ", "resumed VI_51")
	})
}

// A master with thousands of VIPs and a slow kernel sends its advertisements on time, and
// removes all VIPs before it ends.
func TestManyVIPsCostNoAdvertisement(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		many := on(51, 100)
		many.GARPDelay, many.GARPRepeat = 5*time.Second, 5
		for i := range 3000 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 32)
			many.Excluded = append(many.Excluded, conf.VIP{Prefix: p, Device: "eth0"})
		}
		b := newBed(t, m, many)
		stop := b.run()
		m.Slow(2 * time.Millisecond)
		time.Sleep(3*time.Second + 156*time.Second/256 + time.Millisecond)
		for sent := uint64(1); sent < 20; sent++ {
			synctest.Wait()
			if got := b.Snapshot()[0]; got.Sent != sent || got.State != cluster.Master {
				t.Fatalf("as %s it has sent %d advertisements, want %d", got.State, got.Sent, sent)
			}
			time.Sleep(time.Second)
		}
		// The second set began while the first addresses were still being added.
		if got := b.Snapshot()[0]; got.GratuitousARPs != 3000*5 {
			t.Errorf("announced %d times, want five times each", got.GratuitousARPs)
		}
		b.want("VI_51 master", strings.Join(prefixes(many.Excluded), " "))
		stop()
		if got := len(m.Prefixes("eth0")); got != 1 {
			t.Errorf("%d addresses are left", got)
		}
	})
}

func prefixes(vips []conf.VIP) (list []string) {
	for _, v := range vips {
		list = append(list, v.Prefix.String())
	}
	slices.Sort(list)
	return list
}

// Instances that cannot begin say why.
func TestBeginFails(t *testing.T) {
	for _, call := range []string{"leased", "list", "remove"} {
		simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
			b := newBed(t, m, on(51, 100, vip1))
			m.Give("eth0", netip.MustParsePrefix(vip1))
			if call == "list" {
				m.Renew(ID(on(51, 100)), time.Now(), time.Second)
			}
			m.Refuse(call, 1)
			if err := b.Run(nil); !errors.Is(err, fakenet.ErrRefused) {
				t.Errorf("%s: %v", call, err)
			}
			b.Close()
		})
	}
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m)
		far := on(52, 100)
		far.Interface = "eth9"
		cfgs := []conf.VRRPInstance{on(51, 100), far}
		if err := b.Open(cfgs, Bindings(cfgs, b.look())); err == nil || !strings.HasPrefix(err.Error(), "vrrp_instance VI_52: ") || m.Open() != 0 {
			t.Errorf("error %v, %d transports are open", err, m.Open())
		}
	})
}

// A reload changes instances that stay, begins new ones, and ends others; a peer of one
// that ends is forgotten.
func TestReload(t *testing.T) {
	simulate(t, func(t *testing.T, s *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1), on(52, 100, vip2))
		defer b.run()()
		time.Sleep(5 * time.Second)
		b.want("VI_51 master, VI_52 master", vip1+" "+vip2)
		b.Learn(Heard{Peer: Peer{ID(on(51, 1)), netip.MustParseAddr("192.0.2.2")}})
		b.Learn(Heard{Peer: Peer{ID(on(52, 1)), netip.MustParseAddr("192.0.2.2")}})
		changed := on(51, 120, vip1, "192.0.2.102/32")
		changed.Name, changed.Peers = "other name", []conf.Peer{{Addr: netip.MustParseAddr("192.0.2.2")}}
		changed.AdvertInterval = 2 * time.Second
		if err := b.reload(changed, on(53, 100)); err != nil {
			t.Fatal(err)
		}
		b.want("other name master, VI_53 backup", vip1+" 192.0.2.102/32")
		time.Sleep(time.Second) // VI_52 waits for another director to take over
		synctest.Wait()
		if len(b.Directors()) != 1 || m.Open() != 2 {
			t.Errorf("directors %v, %d transports are open", b.Directors(), m.Open())
		}
		// The lease is as long as the new interval says: it outlives a longer silence.
		time.Sleep(4 * time.Second)
		m.Refuse("renew", -1)
		time.Sleep(4 * time.Second)
		if leased, err := m.Leased(ID(changed)); err != nil || !leased {
			t.Errorf("leased %v, %v; want a lease of 6 s", leased, err)
		}
		m.Refuse("renew", 0)
		if err := b.reload(changed, on(53, 100)); err != nil {
			t.Errorf("the same once more: %v", err)
		}
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, line := range b.told {
			if !strings.HasPrefix(line, string(cluster.LeaseNotRenewed)) {
				t.Errorf("told %q", line)
			}
		}
		b.told = nil
	})
}

// A reload that fails at any step leaves the instances as they were.
func TestReloadFails(t *testing.T) {
	invalid := on(51, 0)
	nowhere := on(54, 100)
	nowhere.Interface = "eth9"
	unicast := on(51, 100, vip1)
	unicast.Peers = []conf.Peer{{Addr: netip.MustParseAddr("192.0.2.2")}}
	for _, tt := range []struct {
		name, refuse string
		to           []conf.VRRPInstance
	}{
		{"a configuration that cannot be", "", []conf.VRRPInstance{invalid}},
		{"an interface that is not there", "", []conf.VRRPInstance{unicast, on(53, 1), nowhere}},
		{"a new one's transport", "open", []conf.VRRPInstance{on(51, 100, vip1), on(53, 1)}},
		{"another transport", "open", []conf.VRRPInstance{unicast}},
		{"a VIP", "add", []conf.VRRPInstance{on(51, 120, vip1, vip2), on(53, 1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
				b := newBed(t, m, on(51, 100, vip1))
				defer b.run()()
				time.Sleep(5 * time.Second)
				m.Refuse(tt.refuse, 1)
				if err := b.reload(tt.to...); err == nil {
					t.Error("want an error")
				}
				b.plan(on(51, 100, vip1))
				time.Sleep(2 * time.Second)
				b.want("VI_51 master", vip1)
				if m.Open() != 1 || b.Snapshot()[0].Priority != 100 {
					t.Errorf("%d transports, priority %d", m.Open(), b.Snapshot()[0].Priority)
				}
			})
		})
	}
}

// What goes wrong is told, once, by the instance's name.
func TestErrors(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1, vip2))
		stop := b.run()
		m.Refuse("add", 1)
		m.Refuse("announce", -1)
		time.Sleep(4 * time.Second)
		b.wantToldInAnyOrder("vip_not_added VI_51", "vip_not_announced VI_51") // each by a goroutine of its own
		m.Refuse("announce", 0)
		m.Refuse("renew", 1)
		time.Sleep(time.Second)
		b.wantTold("lease_not_renewed VI_51")
		m.Refuse("remove", 1)
		if err := b.reload(on(51, 100, vip1)); err != nil {
			t.Fatal(err)
		}
		m.Refuse("add", 2)
		if err := b.reload(on(51, 100, vip1, "192.0.2.102/32")); err != nil {
			t.Fatal(err)
		}
		b.wantTold("vips_not_removed VI_51", "vips_not_added VI_51")
		m.Refuse("release", 1)
		m.Refuse("remove", 1)
		stop()
		b.wantTold("lease_not_released VI_51", "vips_not_removed VI_51")
	})
}

// An interface that is down, or was made anew, is a fault until it can be spoken on;
// VIPs are repaired while the lease says that nobody else has them.
func TestFaultsAndRepair(t *testing.T) {
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100, vip1))
		defer b.run()()
		time.Sleep(4 * time.Second)
		m.SetUp("eth0", false)
		b.follow()
		b.want("VI_51 fault", "")
		if got := b.Snapshot()[0].Fault; got != "interface eth0 is down" {
			t.Errorf("fault %q", got)
		}
		m.Unplug("eth0")
		b.follow()
		b.Repair()
		if got := b.Snapshot()[0].Fault; !strings.Contains(got, "no such device") {
			t.Errorf("fault %q", got)
		}
		m.Plug("eth0", 7, "192.0.2.1/24")
		m.Refuse("reopen", 1)
		b.follow()
		if got := b.Snapshot()[0].Fault; got != "interface eth0 cannot be spoken on: refused by the test" || !b.Unopened() {
			t.Errorf("fault %q", got)
		}
		b.want("VI_51 fault", "")
		b.follow()
		b.want("VI_51 backup", "")
		time.Sleep(4 * time.Second)
		b.want("VI_51 master", vip1)
		m.Remove("eth0", netip.MustParsePrefix(vip1))
		m.Release(ID(on(51, 1)))
		b.Repair()
		b.want("VI_51 master", "")
		time.Sleep(time.Second)
		b.Repair()
		b.want("VI_51 master", vip1)
		if got := fmt.Sprint(b.ledger.Counts()); got != "map[vip_addresses:1 found, 1 repaired vrrp_interfaces:1 found, 1 repaired]" {
			t.Errorf("drift %s", got)
		}
	})
}

// TestCompare: which changes another configuration makes.
func TestCompare(t *testing.T) {
	was := on(51, 100, vip1)
	was.State = conf.Master
	change := func(do func(*conf.VRRPInstance)) []conf.VRRPInstance {
		c := was
		do(&c)
		return []conf.VRRPInstance{c}
	}
	for _, tt := range []struct {
		name string
		now  []conf.VRRPInstance
		want string
	}{
		{"the same", change(func(*conf.VRRPInstance) {}), ""},
		{"a priority", change(func(c *conf.VRRPInstance) { c.Priority = 90 }), "changed VI_51 [{priority 100 90 in place}]"},
		{"the state to begin in counts at the next start", change(func(c *conf.VRRPInstance) { c.State = conf.Backup }), "changed VI_51 [{state MASTER BACKUP at its start}]"},
		{"a password stays a secret", change(func(c *conf.VRRPInstance) { c.Auth = conf.Auth{Type: conf.AuthPass, Password: "1111"} }), "changed VI_51 [{authentication auth_type  PASS in place} {authentication auth_pass as it was another in place}]"},
		{"another VRID is another instance", change(func(c *conf.VRRPInstance) { c.VRID = 52 }), "added VI_51 []removed VI_51 []"},
		{"a source", change(func(c *conf.VRRPInstance) { c.SourceIP = netip.MustParseAddr("192.0.2.1") }), "changed VI_51 [{mcast_src_ip the interface's first 192.0.2.1 in place}]"},
		{"preemption", change(func(c *conf.VRRPInstance) { c.NoPreempt = true }), "changed VI_51 [{nopreempt off on in place}]"},
		{"VIPs", change(func(c *conf.VRRPInstance) { c.VIPs = nil }), "changed VI_51 [{virtual_ipaddress 192.0.2.100/32 dev eth0  in place}]"},
	} {
		var got string
		for _, c := range Compare([]conf.VRRPInstance{was}, tt.now) {
			got += fmt.Sprint(c.Kind, " ", c.Instance, " ", c.Settings)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// What becomes of an instance by a change of its priority.
func TestDescribe(t *testing.T) {
	peer := vrrp.Peer{Addr: netip.MustParseAddr("192.0.2.2"), Priority: 110}
	for _, tt := range []struct {
		now  vrrp.Snapshot
		to   conf.VRRPInstance
		want string
	}{
		{vrrp.Snapshot{State: vrrp.Master, Priority: 100}, on(51, 90), "becomes BACKUP if another director has more than 90"},
		{vrrp.Snapshot{State: vrrp.Master, Priority: 100}, on(51, 120), ""},
		{vrrp.Snapshot{State: vrrp.Backup, Priority: 100, Peer: peer}, on(51, 120), "becomes MASTER: 192.0.2.2 has 110"},
		{vrrp.Snapshot{State: vrrp.Backup, Priority: 100, Peer: peer}, on(51, 105), ""},
		{vrrp.Snapshot{State: vrrp.Backup, Priority: 100}, on(51, 255), "becomes MASTER: it owns the addresses"},
	} {
		if got := becomes(tt.now, tt.to); got != tt.want {
			t.Errorf("%+v to %d: %q, want %q", tt.now, tt.to.Priority, got, tt.want)
		}
	}
	simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
		b := newBed(t, m, on(51, 100), on(52, 100))
		defer b.run()()
		time.Sleep(4 * time.Second)
		now := []conf.VRRPInstance{on(51, 90), on(53, 1)}
		var got []string
		for _, c := range Compare([]conf.VRRPInstance{on(51, 100), on(52, 100)}, now) {
			b.Describe(&c, now)
			got = append(got, fmt.Sprintf("%s %s: %s %s", c.Kind, c.Instance, c.State, c.Next))
		}
		const want = "changed VI_51: MASTER becomes BACKUP if another director has more than 90\n" +
			"added VI_53:  begins as BACKUP, and becomes MASTER unless it hears a higher one\n" +
			"removed VI_52: MASTER leaves, and gives its addresses up"
		if strings.Join(got, "\n") != want {
			t.Errorf("described\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	})
}
