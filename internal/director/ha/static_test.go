package ha

import (
	"net/netip"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/netlnk"
	"weir/internal/netlnk/fakenet"
)

// The instances of a track_group are in fault while what it watches is on a device that is down,
// and while it is missing and cannot be put back.
func TestTrackGroup(t *testing.T) {
	for _, tt := range []struct {
		name, static string
		spoil, mend  func(m *fakenet.Machine)
		want         string
	}{
		{
			"an address that cannot be put back", "static_ipaddress {\n10.9.0.1/16 dev eth1 track_group g\n}",
			func(m *fakenet.Machine) { m.Refuse("add", -1); m.Take("eth1", netip.MustParsePrefix("10.9.0.1/16")) },
			func(m *fakenet.Machine) { m.Refuse("add", 0) }, "fault",
		},
		{
			"a route that cannot be put back", "static_routes {\n10.20.0.0/16 dev eth1 track_group g\n}",
			func(m *fakenet.Machine) { m.Refuse("add", -1); m.RemoveEntry(m.Entries()[0]) },
			func(m *fakenet.Machine) { m.Refuse("add", 0) }, "fault",
		},
		{
			"a rule that can be put back", "static_rules {\nfrom 10.20.0.0/16 table 7 priority 7 track_group g\n}",
			func(m *fakenet.Machine) { m.RemoveEntry(m.Entries()[0]) }, func(*fakenet.Machine) {}, "master",
		},
		{
			"a rule whose device is down", "static_rules {\nfrom 10.20.0.0/16 iif eth1 table 7 priority 7 track_group g\n}",
			func(m *fakenet.Machine) { m.SetUp("eth1", false) }, func(m *fakenet.Machine) { m.SetUp("eth1", true) }, "fault",
		},
		{
			"no_track", "static_routes {\n10.20.0.0/16 dev eth1 no_track track_group g\n}",
			func(m *fakenet.Machine) { m.SetUp("eth1", false) }, func(m *fakenet.Machine) { m.SetUp("eth1", true) }, "master",
		},
		{
			"of no group", "static_ipaddress {\n10.9.0.1/16 dev eth1\n}",
			func(m *fakenet.Machine) { m.Refuse("add", -1); m.Take("eth1", netip.MustParsePrefix("10.9.0.1/16")) },
			func(m *fakenet.Machine) { m.Refuse("add", 0) }, "master",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, _ *fakenet.Segment, m, _ *fakenet.Machine) {
				m.Plug("eth1", 7, "198.51.100.1/24")
				cfg, diags := conf.Parse("main.conf", []byte("track_group g {\ngroup {\nVI_51\n}\n}\n"+tt.static+
					"\nvrrp_instance VI_51 {\ninterface eth0\nvirtual_router_id 51\npriority 100\nvirtual_ipaddress {\n"+vip1+"\n}\n}\n"))
				if cfg == nil {
					t.Fatal(diags.All())
				}
				b := newBed(t, m, cfg.VRRPInstances...)
				b.SetStatic(cfg.Machine, "")
				if err := b.PutStatic(); err != nil {
					t.Fatal(err)
				}
				if err := b.SetVIPs(cfg.VRRPInstances); err != nil {
					t.Fatal(err)
				}
				b.Track(TrackingOf(cfg), nil)
				stop := b.run()
				look := func(want string) {
					t.Helper()
					b.follow()
					b.Repair()
					time.Sleep(5 * time.Second)
					b.Repair()
					vips := map[string]string{"master": vip1}[want]
					b.want("VI_51 "+want, vips)
				}
				look("master")
				tt.spoil(m)
				look(tt.want)
				tt.mend(m)
				look("master")
				if got := len(m.Entries()) + len(b.Instances.static.Addresses); got != 1 {
					t.Errorf("%d of the static things are there, want 1", got)
				}
				stop()
			})
		})
	}
}

// Static addresses, routes and rules are watched by what their lines say.
func TestWatchedOf(t *testing.T) {
	cfg, diags := conf.Parse("main.conf", []byte(`global_defs {
    default_interface eth3
}
track_group g {
    group {
        V
    }
}
static_ipaddress {
    10.9.0.1/16 track_group g
    10.9.0.2/16
    10.9.0.3/16 dev eth1 no_track track_group g
}
static_routes {
    10.20.0.0/16 via 10.9.0.7 dev eth1 track_group g
    10.21.0.0/16 dev eth1
}
static_rules {
    from 10.20.0.0/16 iif eth2 table 7 priority 7 track_group g
}
vrrp_instance V {
    interface eth0
    virtual_router_id 51
}
`))
	if cfg == nil {
		t.Fatal(diags.All())
	}
	var got []string
	for _, w := range TrackingOf(cfg).watchedBy("V") {
		got = append(got, w.device+" "+w.what)
		if w.address.Device == "" && w.entry == (netlnk.Entry{}) {
			t.Errorf("%s has neither an address nor an entry", w.what)
		}
	}
	want := []string{"eth3 static address 10.9.0.1/16", "eth1 static route 10.20.0.0/16", "eth2 static rule"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("watched %q, want %q", got, want)
	}
	if other := TrackingOf(cfg).watchedBy("W"); len(other) != 0 {
		t.Errorf("%d are watched by an instance of no group", len(other))
	}
}
