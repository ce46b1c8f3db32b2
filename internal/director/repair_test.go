package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
	"weir/vrrp"
)

// leasing is a data plane whose lease runs, or does not.
type leasing struct {
	before
	runs bool
}

func (l leasing) Leased(lvs.InstanceID) (bool, error) { return l.runs, nil }

// The VIPs of the tests' instance.
var testVIPs = []netip.Prefix{netip.MustParsePrefix("192.0.2.100/32"), netip.MustParsePrefix("192.0.2.101/24")}

func instanceOn(device string, leased bool) *instance {
	in := &instance{plane: leasing{runs: leased}, tell: quiet().Publish}
	for _, p := range testVIPs {
		in.cfg.VIPs = append(in.cfg.VIPs, conf.VIP{Prefix: p, Device: device})
	}
	return in
}

// withDevice runs the body in a namespace with eth0, whose other end is far's.
func withDevice(t *testing.T, body func(n, far *nstest.Namespace)) {
	n, far := nstest.New(t, "near"), nstest.New(t, "far")
	nstest.Veth(n, "eth0", far, "eth0")
	n.IP("addr", "add", "192.0.2.1/24", "dev", "eth0")
	n.Do(func() { body(n, far) })
}

// What somebody does to the VIPs, by what the instance is, and what is there after.
func TestRepairVIPs(t *testing.T) {
	const own, vip1, vip2 = "192.0.2.1/24", "192.0.2.100/32", "192.0.2.101/24"
	add := func(p string) string { return "addr add " + p + " dev eth0" }
	del := func(p string) string { return "addr del " + p + " dev eth0" }
	master, backup := []vrrp.State{vrrp.Init, vrrp.Master}, []vrrp.State{vrrp.Init, vrrp.Backup}
	for _, tt := range []struct {
		name   string
		states []vrrp.State
		leased bool
		do     string
		want   []string
		kind   string
		count  uint64
	}{
		{"nothing to a master", master, true, "addr show", []string{own, vip1, vip2}, driftVIP, 0},
		{"a master's VIP is removed", master, true, del(vip1), []string{own, vip1, vip2}, driftVIP, 1},
		{"all addresses of a master are removed", master, true, "addr flush dev eth0", []string{vip1, vip2}, driftVIP, 2},
		{"a master whose lease has run out", master, false, del(vip1), []string{own, vip2}, driftVIP, 0},
		{"a VIP is added to a backup", backup, false, add(vip1), []string{own}, driftStray, 1},
		{"a VIP of another length is added to a backup", backup, false, add("192.0.2.100/24"), []string{own}, driftStray, 1},
		{"another address is added to a backup", backup, false, add("192.0.2.55/24"), []string{own, "192.0.2.55/24"}, driftStray, 0},
		{"one that was master", append(slices.Clone(master), vrrp.Backup), false, add(vip1), []string{own}, driftStray, 1},
		{"one in fault", append(slices.Clone(master), vrrp.Fault), false, add(vip1), []string{own}, driftStray, 1},
		{"one that has not begun", []vrrp.State{vrrp.Init}, true, add(vip1), []string{own, vip1}, driftStray, 0},
		{"one that has ended", append(slices.Clone(master), vrrp.Init), true, add(vip1), []string{own, vip1}, driftStray, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDevice(t, func(n, _ *nstest.Namespace) {
				in, ledger := instanceOn("eth0", tt.leased), drift.NewLedger(slog.New(slog.DiscardHandler))
				for i, to := range tt.states[1:] {
					in.Enter(tt.states[i], to)
				}
				n.Batch(tt.do)
				for range 3 {
					in.repairVIPs(ledger)
					ledger.Done()
				}
				if got := addresses(t); !slices.Equal(got, tt.want) {
					t.Errorf("eth0 has %v, want %v", got, tt.want)
				}
				if got := ledger.Counts()[tt.kind]; got != (drift.Count{Found: tt.count, Repaired: tt.count}) {
					t.Errorf("%s: %s, want %d", tt.kind, got, tt.count)
				}
			})
		})
	}
}

// addresses are eth0's IPv4 ones, sorted.
func addresses(t *testing.T) (list []string) {
	t.Helper()
	all, err := netlnk.Addresses("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Addr().Is4() {
			list = append(list, p.String())
		}
	}
	slices.Sort(list)
	return list
}

// Neighbours that have forgotten whose a VIP is hear it when it is put back.
func TestRepairedVIPIsAnnounced(t *testing.T) {
	withDevice(t, func(n, far *nstest.Namespace) {
		far.Batch("addr add 192.0.2.9/24 dev eth0", "addr add 2001:db8::9/64 dev eth0 nodad")
		nstest.WaitFor(t, "carrier", func() bool { l, err := netlnk.LinkByName("eth0"); return err == nil && l.Up })
		in, ledger := instanceOn("eth0", true), drift.NewLedger(slog.New(slog.DiscardHandler))
		in.cfg.Excluded = []conf.VIP{{Prefix: netip.MustParsePrefix("2001:db8::100/64"), Device: "eth0"}}
		in.Enter(vrrp.Init, vrrp.Master)
		l, err := netlnk.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		for _, vip := range in.cfg.Addresses() {
			addr := vip.Prefix.Addr().String()
			n.IP("addr", "del", vip.Prefix.String(), "dev", "eth0")
			far.IP("neighbour", "replace", addr, "lladdr", "02:00:00:00:00:66", "dev", "eth0", "nud", "stale")
			in.repairVIPs(ledger)
			nstest.WaitFor(t, "the neighbour learns our address", func() bool {
				return strings.Contains(far.IP("neighbour", "show", addr), l.MAC.String())
			})
		}
	})
}

// A device that is gone is told once, and its VIPs come with it.
func TestRepairVIPsOfADeviceThatComesAgain(t *testing.T) {
	withDevice(t, func(n, _ *nstest.Namespace) {
		in, ledger := instanceOn("eth0", true), drift.NewLedger(slog.New(slog.DiscardHandler))
		in.Enter(vrrp.Init, vrrp.Master)
		n.IP("link", "del", "eth0")
		in.repairVIPs(ledger)
		in.repairVIPs(ledger)
		if got := ledger.Counts(); len(got) != 1 || got[driftCompare].Found != 1 {
			t.Errorf("counted %v, want one that could not be looked at", got)
		}
		n.Batch("link add eth0 type veth peer name eth1", "link set eth1 up", "link set eth0 up")
		in.repairVIPs(ledger)
		if got, want := addresses(t), []string{"192.0.2.100/32", "192.0.2.101/24"}; !slices.Equal(got, want) {
			t.Errorf("eth0 has %v, want %v", got, want)
		}
	})
}

// While states change and somebody removes addresses, no repair meets half a change:
// at the end of each, a master has its VIPs and a backup none.
func TestRepairDoesNotFightStates(t *testing.T) {
	withDevice(t, func(n, _ *nstest.Namespace) {
		in, ledger := instanceOn("eth0", true), drift.NewLedger(slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go n.Do(func() {
			defer close(ended)
			for ctx.Err() == nil {
				in.repairVIPs(ledger)
			}
		})
		from := vrrp.Init
		for i := range 60 {
			to, want := vrrp.Master, []string{"192.0.2.1/24", "192.0.2.100/32", "192.0.2.101/24"}
			if i%2 == 1 {
				to, want = vrrp.Backup, want[:1]
			}
			in.Enter(from, to)
			from = to
			if got := addresses(t); !slices.Equal(got, want) {
				t.Fatalf("as %s eth0 has %v, want %v", to, got, want)
			}
		}
		stop()
		<-ended
		if got := ledger.Counts(); len(got) > 0 {
			t.Errorf("counted %v where nobody changed anything", got)
		}
	})
}

// astray is a real server of which something is wrong each time, or nothing.
type astray struct {
	told
	what []string
	err  error
}

func (a *astray) Repair() ([]string, error) { return a.what, a.err }

func TestRepairRealServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		rs   astray
		want map[string]drift.Count
	}{
		{"all is well", astray{}, map[string]drift.Count{}},
		{"two things", astray{what: []string{"lo is down", "arp_ignore of all is 0"}}, map[string]drift.Count{driftRealServer: {Found: 2, Repaired: 2}}},
		{"one that cannot be repaired", astray{what: []string{"lo is down"}, err: errors.New("no")}, map[string]drift.Count{driftRealServer: {Found: 1}}},
		{"it cannot be looked at", astray{err: errors.New("no state file")}, map[string]drift.Count{driftCompare: {Found: 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDirector(nil)
			d.realserver = &tt.rs
			d.repair()
			if got := d.Drift(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("counted %v, want %v", got, tt.want)
			}
		})
	}
}

// looking is a real server that tells at each look whether an address is there.
type looking struct {
	told
	there chan bool
}

func (l *looking) Repair() ([]string, error) {
	there, err := netlnk.HasAddress("eth0", netip.MustParsePrefix("192.0.2.1/24"))
	l.there <- there
	return nil, err
}

// An address that is removed is noticed at once, not at the next look.
func TestLoopHearsOfAddresses(t *testing.T) {
	withDevice(t, func(n, _ *nstest.Namespace) {
		d, l := newDirector(nil), &looking{there: make(chan bool, 1000)}
		d.realserver = l
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go n.Do(func() {
			watch, err := netlnk.Watch(ctx)
			if err == nil {
				err = d.loop(ctx, watch)
			}
			ended <- err
		})
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		until := func(want bool) {
			for <-l.there != want {
			}
		}
		var took time.Duration
		for range 5 { // a machine may be busy
			until(true) // the next look is a second away
			begun := time.Now()
			n.Batch("addr del 192.0.2.1/24 dev eth0")
			until(false)
			if took = time.Since(begun); took < repairEvery/2 {
				return
			}
			n.Batch("addr add 192.0.2.1/24 dev eth0")
		}
		t.Errorf("noticed after %s", took)
	})
}
