// Package kerneltest has the tests of vip that take a kernel, and with it root.
package kerneltest

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/vip"
)

// testVIPs are the VIPs of the tests' only owner.
var testVIPs = []vip.Address{
	{Device: "eth0", Prefix: netip.MustParsePrefix("192.0.2.100/32")},
	{Device: "eth0", Prefix: netip.MustParsePrefix("192.0.2.101/24")},
}

const owner vip.Owner = "VI_1"

// bed is an engine on the kernel, of one owner, which is sure of its addresses or not.
type bed struct {
	*vip.Engine
	ledger *drift.Ledger
	sure   bool
}

// kernel is a namespace's, for goroutines on any thread.
type kernel struct {
	vip.Kernel
	in *nstest.Namespace
}

func (k kernel) List(device string) (list []netlnk.Address, err error) {
	k.in.Do(func() { list, err = k.Kernel.List(device) })
	return list, err
}

func (k kernel) Add(device string, p netip.Prefix, preferred uint32, o netlnk.AddressOptions) (changed bool, err error) {
	k.in.Do(func() { changed, err = k.Kernel.Add(device, p, preferred, o) })
	return changed, err
}

func (k kernel) Remove(device string, p netip.Prefix) (changed bool, err error) {
	k.in.Do(func() { changed, err = k.Kernel.Remove(device, p) })
	return changed, err
}

func (k kernel) Open(device string) (s vip.Speaker, err error) {
	k.in.Do(func() { s, err = k.Kernel.Open(device) })
	return s, err
}

func newBed(t *testing.T, n *nstest.Namespace, sure bool, more ...vip.Address) *bed {
	t.Helper()
	b := &bed{ledger: drift.NewLedger(slog.New(slog.DiscardHandler)), sure: sure}
	k := kernel{in: n}
	b.Engine = vip.New(k, k, b.ledger, vip.Reports{
		Failed:  func(failed []vip.Failure) { t.Errorf("failed: %v", vip.Join(failed)) },
		Unheard: func(_ string, a netip.Addr, err error) { t.Errorf("announce %s: %v", a, err) },
	})
	if _, err := b.Set([]vip.Wanted{{Owner: owner, Addresses: append(slices.Clone(testVIPs), more...)}}); err != nil {
		t.Fatal(err)
	}
	return b
}

// move waits until the addresses are where they are to be.
func (b *bed) move(to vip.Place) {
	b.Move(owner, to)
	b.Wait(owner)
}

func (b *bed) repair() { b.Repair(func(vip.Owner) bool { return b.sure }) }

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
	master, backup := []vip.Place{vip.Here}, []vip.Place{vip.Elsewhere}
	for _, tt := range []struct {
		name   string
		places []vip.Place
		sure   bool
		do     string
		want   []string
		kind   string
		count  uint64
	}{
		{"nothing to a master", master, true, "addr show", []string{own, vip1, vip2}, vip.DriftMissing, 0},
		{"a master's VIP is removed", master, true, del(vip1), []string{own, vip1, vip2}, vip.DriftMissing, 1},
		{"all addresses of a master are removed", master, true, "addr flush dev eth0", []string{vip1, vip2}, vip.DriftMissing, 2},
		{"a master whose lease has run out", master, false, del(vip1), []string{own, vip2}, vip.DriftMissing, 0},
		{"a VIP is added to a backup", backup, false, add(vip1), []string{own}, vip.DriftStray, 1},
		{"a VIP of another length is added to a backup", backup, false, add("192.0.2.100/24"), []string{own}, vip.DriftStray, 1},
		{"another address is added to a backup", backup, false, add("192.0.2.55/24"), []string{own, "192.0.2.55/24"}, vip.DriftStray, 0},
		{"one that was master", append(slices.Clone(master), vip.Elsewhere), false, add(vip1), []string{own}, vip.DriftStray, 1},
		{"one in fault", append(slices.Clone(master), vip.Elsewhere), false, add(vip1), []string{own}, vip.DriftStray, 1},
		{"one that has not begun", nil, true, add(vip1), []string{own, vip1}, vip.DriftStray, 0},
		{"one that has ended", append(slices.Clone(master), vip.Undecided), true, add(vip1), []string{own, vip1}, vip.DriftStray, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withDevice(t, func(n, _ *nstest.Namespace) {
				b := newBed(t, n, tt.sure)
				for _, to := range tt.places {
					b.move(to)
				}
				n.Batch(tt.do)
				for range 3 {
					b.repair()
					b.ledger.Done()
				}
				if got := addresses(t); !slices.Equal(got, tt.want) {
					t.Errorf("eth0 has %v, want %v", got, tt.want)
				}
				if got := b.ledger.Counts()[tt.kind]; got != (drift.Count{Found: tt.count, Repaired: tt.count}) {
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
		six := vip.Address{Prefix: netip.MustParsePrefix("2001:db8::100/64"), Device: "eth0"}
		b := newBed(t, n, true, six)
		b.move(vip.Here)
		l, err := netlnk.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(slices.Clone(testVIPs), six) {
			addr := a.Prefix.Addr().String()
			n.IP("addr", "del", a.Prefix.String(), "dev", "eth0")
			far.IP("neighbour", "replace", addr, "lladdr", "02:00:00:00:00:66", "dev", "eth0", "nud", "stale")
			b.repair()
			nstest.WaitFor(t, "the neighbour learns our address", func() bool {
				return strings.Contains(far.IP("neighbour", "show", addr), l.MAC.String())
			})
		}
	})
}

// A device that is gone is no drift: its owner is told of it. Its VIPs come with it.
func TestRepairVIPsOfADeviceThatComesAgain(t *testing.T) {
	withDevice(t, func(n, _ *nstest.Namespace) {
		b := newBed(t, n, true)
		b.move(vip.Here)
		n.IP("link", "del", "eth0")
		b.repair()
		b.repair()
		if got := b.ledger.Counts(); len(got) != 0 {
			t.Errorf("counted %v, want nothing", got)
		}
		n.Batch("link add eth0 type veth peer name eth1", "link set eth1 up", "link set eth0 up")
		b.repair()
		if got, want := addresses(t), []string{"192.0.2.100/32", "192.0.2.101/24"}; !slices.Equal(got, want) {
			t.Errorf("eth0 has %v, want %v", got, want)
		}
	})
}

// While states change and somebody removes addresses, no repair meets half a change:
// at the end of each, a master has its VIPs and a backup none.
func TestRepairDoesNotFightStates(t *testing.T) {
	withDevice(t, func(n, _ *nstest.Namespace) {
		b := newBed(t, n, true)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go n.Do(func() {
			defer close(ended)
			for ctx.Err() == nil {
				b.repair()
			}
		})
		for i := range 60 {
			to, want := vip.Here, []string{"192.0.2.1/24", "192.0.2.100/32", "192.0.2.101/24"}
			if i%2 == 1 {
				to, want = vip.Elsewhere, want[:1]
			}
			b.move(to)
			if got := addresses(t); !slices.Equal(got, want) {
				t.Fatalf("at place %d eth0 has %v, want %v", to, got, want)
			}
		}
		stop()
		<-ended
		if got := b.ledger.Counts(); len(got) > 0 {
			t.Errorf("counted %v where nobody changed anything", got)
		}
	})
}
