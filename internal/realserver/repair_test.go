package realserver_test

import (
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

// Repair reports and restores each thing that somebody has changed, once; Stop still
// restores the state before Start.
func TestRepair(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, n *nstest.Namespace)
		want  []string
	}{
		{"nothing", func(*testing.T, *nstest.Namespace) {}, nil},
		{"the address", func(_ *testing.T, n *nstest.Namespace) { n.IP("addr", "del", "192.168.25.100/32", "dev", "lo") },
			[]string{"192.168.25.100 is not on lo"}},
		{"an IPv6 address", func(_ *testing.T, n *nstest.Namespace) { n.IP("addr", "del", "fd25::100/128", "dev", "lo") },
			[]string{"fd25::100 is not on lo"}},
		{"arp_ignore", func(t *testing.T, _ *nstest.Namespace) { set(t, "all", "arp_ignore", "0") },
			[]string{"arp_ignore of all is 0"}},
		{"arp_announce", func(t *testing.T, _ *nstest.Namespace) { set(t, "lo", "arp_announce", "1") },
			[]string{"arp_announce of lo is 1"}},
		{"lo itself", func(_ *testing.T, n *nstest.Namespace) { n.IP("link", "set", "lo", "down") },
			[]string{"lo is down", "fd25::100 is not on lo"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
				must(t, rs.Start(vips{vip, vip6}))
				started := snapshot(t)
				tt.spoil(t, n)
				wantRepair(t, rs, tt.want...)
				check(t, "repaired", started)
				wantRepair(t, rs)
				must(t, rs.Stop(nil))
				check(t, "stopped", "0000 ")
			})
		})
	}
}

func wantRepair(t *testing.T, rs *realserver.RealServer, want ...string) {
	t.Helper()
	got, err := rs.Repair()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("drifted was %q, %v; want %q", got, err, want)
	}
}

// What Stop has removed or nobody has started is not restored.
func TestNothingToRepair(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		wantRepair(t, rs)
		must(t, rs.Start(vips{vip}))
		must(t, rs.Stop(nil))
		wantRepair(t, rs)
		check(t, "after all", "0000 ")
	})
}

// Repair attaches the decapsulating program again.
func TestRepairTunnel(t *testing.T) {
	twoNets(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.StartTunnel(vips{vip}, byBPF))
		wantRepair(t, rs)
		l, err := netlnk.LinkByName("ens192")
		must(t, err)
		must(t, netlnk.DeleteFilter(l.Index, netlnk.FilterDecap))
		got, err := rs.Repair()
		if err != nil || len(got) != 1 || !strings.Contains(got[0], "ens192") {
			t.Errorf("drifted was %q, %v; want ens192", got, err)
		}
		wantAttached(t, "ens192", true)
		wantStatus(t, "repaired", rs)
	})
}
