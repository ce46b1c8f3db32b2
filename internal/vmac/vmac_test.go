package vmac

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

func device(name, base, mac string) Device {
	hw, err := net.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return Device{Name: name, Base: base, MAC: hw, IPv4: true}
}

// wantSysctls wants settings of net.ipv4.conf, each DEVICE NAME VALUE.
func wantSysctls(t *testing.T, when string, want [][3]string) {
	t.Helper()
	for _, w := range want {
		if got, err := netlnk.Sysctl(w[0], w[1]); err != nil || got != w[2] {
			t.Errorf("%s: %s of %s is %q, %v, want %s", when, w[1], w[0], got, err, w[2])
		}
	}
}

// Devices are made with what they need, found again by another process, and removed; what the
// interface below was set to before is put back with the last of them.
func TestDevicesComeAndGo(t *testing.T) {
	ns := nstest.New(t, "vmac")
	ns.Batch("link add eth0 type veth peer name p0", "link set p0 up", "link set eth0 up")
	ns.Do(func() {
		before := [][3]string{{"eth0", "arp_ignore", "2"}, {"eth0", "arp_filter", "0"}, {"all", "rp_filter", "1"}}
		for _, s := range before {
			if err := netlnk.SetSysctl(s[0], s[1], s[2]); err != nil {
				t.Fatal(err)
			}
		}
		first, second := device("v1", "eth0", "00:00:5e:00:01:01"), device("v2", "eth0", "00:00:5e:00:01:02")
		none := device("v3", "eth9", "00:00:5e:00:01:03")
		for _, wanted := range [][]Device{{first, second, none}, {first, second, none}} {
			if err := (Kernel{}).Make(wanted); err != nil {
				t.Fatal(err)
			}
		}
		wantSysctls(t, "with devices", [][3]string{
			{"eth0", "arp_ignore", "1"}, {"eth0", "arp_filter", "1"}, {"all", "rp_filter", "0"}, {"eth0", "rp_filter", "1"},
			{"v1", "arp_ignore", "1"}, {"v1", "accept_local", "1"}, {"v1", "rp_filter", "0"}, {"v2", "rp_filter", "0"},
		})
		picture, err := netlnk.Look()
		if err != nil {
			t.Fatal(err)
		}
		if Lacks([]Device{first, second, none}, picture) || !Lacks([]Device{device("v4", "eth0", "00:00:5e:00:01:04")}, picture) {
			t.Error("what is missing is not what was not made")
		}
		for _, step := range []struct {
			wanted  []Device
			removed []string
		}{{[]Device{first, second}, nil}, {[]Device{second}, []string{"v1"}}, {nil, []string{"v2"}}} {
			removed, err := Kernel{}.RemoveOthers(step.wanted)
			if err != nil || !slices.Equal(removed, step.removed) {
				t.Errorf("removed %q, %v, want %q", removed, err, step.removed)
			}
			if len(step.wanted) == 1 {
				wantSysctls(t, "with one device", [][3]string{{"eth0", "arp_ignore", "1"}, {"all", "rp_filter", "0"}})
			}
		}
		wantSysctls(t, "without devices", before)
	})
}

// A device of somebody else's is neither changed nor removed.
func TestOthersStay(t *testing.T) {
	ns := nstest.New(t, "vmac-others")
	ns.Batch("link add eth0 type veth peer name p0", "link add v1 type veth peer name p1", "link add link eth0 v2 type macvlan mode bridge")
	ns.Do(func() {
		for _, name := range []string{"v1", "v2"} {
			if err := (Kernel{}).Make([]Device{device(name, "eth0", "00:00:5e:00:01:01")}); !errors.Is(err, netlnk.ErrTaken) {
				t.Errorf("%s: %v, want %v", name, err, netlnk.ErrTaken)
			}
		}
		if removed, err := (Kernel{}).RemoveOthers(nil); err != nil || len(removed) > 0 {
			t.Errorf("removed %q, %v", removed, err)
		}
	})
}

func TestAliasTellsWhatWasBefore(t *testing.T) {
	for _, f := range []former{{}, {"arp_ignore": 2, "rp_filter": 1}} {
		got, ours := readAlias(f.alias())
		if !ours || got.alias() != f.alias() {
			t.Errorf("%q is read as %v, %v", f.alias(), got, ours)
		}
	}
	if _, ours := readAlias("uplink to weir"); ours {
		t.Error("a device of somebody else's is taken for one of weir's")
	}
}

// An ipvlan device is made with its address, changed, found again by another process, and
// removed. A kernel without ipvlan is told so in words.
func TestIpvlanDevices(t *testing.T) {
	ns := nstest.New(t, "vmac-ipvlan")
	ns.Batch("link add eth0 type veth peer name p0", "link set p0 up", "link set eth0 up")
	ns.Do(func() {
		d := Device{Name: "i1", Base: "eth0", Ipvlan: "bridge", Addr: netip.MustParsePrefix("192.0.2.7/24"), IPv4: true}
		second := Device{Name: "i2", Base: "eth0", Ipvlan: "bridge", IPv6: true}
		err := Kernel{}.Make([]Device{d, second})
		if errors.Is(err, netlnk.ErrNoKind) {
			unmade := UnmadeOf(err)
			if len(unmade) != 2 || !strings.Contains(unmade["i1"].Error(), "modprobe ipvlan") || !strings.Contains(unmade["i1"].Error(), "use_ipvlan") {
				t.Errorf("the kernel has no ipvlan, and the error is %v", unmade)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		want := func(when string, d Device, lines ...string) {
			t.Helper()
			picture, err := netlnk.Look()
			if err != nil {
				t.Fatal(err)
			}
			if Lacks([]Device{d}, picture) {
				t.Errorf("%s: %s lacks something", when, d.Name)
			}
			var got []string
			for _, a := range picture.Addresses(d.Name) {
				if a.Prefix.Addr().Is4() {
					got = append(got, a.Prefix.String())
				}
			}
			if !slices.Equal(got, lines) {
				t.Errorf("%s: %s has %q, want %q", when, d.Name, got, lines)
			}
		}
		want("made", d, "192.0.2.7/24")
		wantSysctls(t, "with devices", [][3]string{{"eth0", "arp_ignore", "0"}, {"eth0", "arp_filter", "0"}})

		d.Ipvlan, d.Addr = "private", netip.MustParsePrefix("192.0.2.8/32")
		second.Ipvlan = d.Ipvlan
		if err := (Kernel{}).Make([]Device{d, second}); err != nil {
			t.Fatal(err)
		}
		want("changed", d, "192.0.2.7/24", "192.0.2.8/32")
		if out := ns.IP("-d", "link", "show", "dev", "i1"); !strings.Contains(out, "mode l2 private") {
			t.Errorf("the mode is not changed: %s", out)
		}
		if removed, err := (Kernel{}).RemoveOthers([]Device{d}); err != nil || !slices.Equal(removed, []string{"i2"}) {
			t.Errorf("removed %q, %v, want i2", removed, err)
		}
		want("changed for good", d, "192.0.2.8/32")

		if err := (Kernel{}).Make([]Device{device("v1", "eth0", "00:00:5e:00:01:01")}); err == nil || !strings.Contains(err.Error(), "devices of another kind over it") {
			t.Errorf("a macvlan beside an ipvlan: %v", err)
		}
		if removed, err := (Kernel{}).RemoveOthers(nil); err != nil || !slices.Equal(removed, []string{"i1"}) {
			t.Errorf("removed %q, %v, want i1", removed, err)
		}
	})
}
