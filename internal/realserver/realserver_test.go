package realserver_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

var (
	vip  = netip.MustParseAddr("192.168.25.100")
	vip2 = netip.MustParseAddr("192.168.25.101")
	vip6 = netip.MustParseAddr("fd25::100")
)

type vips = []netip.Addr

// names are the sysctls a real server sets, in the order of a setting.
var names = []string{"all arp_ignore", "all arp_announce", "lo arp_ignore", "lo arp_announce"}

// snapshot is the kernel's state: the four sysctls, then the addresses of lo.
func snapshot(t *testing.T) string {
	t.Helper()
	var parts []string
	for _, n := range names {
		device, name, _ := strings.Cut(n, " ")
		b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + device + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.TrimSpace(string(b)))
	}
	return strings.Join(parts, "") + " " + strings.Join(loAddresses(t), " ")
}

func loAddresses(t *testing.T) []string {
	t.Helper()
	all, err := netlnk.Addresses("lo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range all {
		if !p.Addr().IsLoopback() {
			out = append(out, p.String())
		}
	}
	return out
}

func check(t *testing.T, step, want string) {
	t.Helper()
	if got := snapshot(t); got != want {
		t.Errorf("%s: sysctls and lo are %q, want %q", step, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, device, name, value string) {
	t.Helper()
	must(t, netlnk.SetSysctl(device, name, value))
}

// inside runs a test in a namespace of its own with a RealServer for it.
func inside(t *testing.T, fn func(n *nstest.Namespace, rs *realserver.RealServer)) {
	t.Helper()
	n := nstest.New(t, "rs")
	file := filepath.Join(t.TempDir(), "run", "realserver.json")
	n.Do(func() { fn(n, realserver.New(file)) })
}

func TestStartStop(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		set(t, "lo", "arp_ignore", "3") // larger, but the machine answers with it
		set(t, "all", "arp_announce", "1")
		check(t, "before", "0130 ")
		must(t, rs.Start(vips{vip}))
		check(t, "start", "1212 192.168.25.100/32")
		must(t, rs.Start(vips{vip}))
		check(t, "start again", "1212 192.168.25.100/32")
		must(t, rs.Stop(vips{vip}))
		check(t, "stop", "0130 ")
		must(t, rs.Stop(vips{vip}))
		check(t, "stop again", "0130 ")
		if _, err := os.Stat(rs.StateFile()); !os.IsNotExist(err) {
			t.Errorf("the state file is left: %v", err)
		}
	})
}

func TestStopBeforeAnyStart(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Stop(nil))
		check(t, "stop", "0000 ")
		if _, err := os.Stat(filepath.Dir(rs.StateFile())); !os.IsNotExist(err) {
			t.Errorf("stop made the state file's directory: %v", err)
		}
	})
}

// The sysctls are shared, and restored with the last address.
func TestSecondAddress(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Start(vips{vip}))
		must(t, rs.Start(vips{vip2, vip2}))
		check(t, "second start", "1212 192.168.25.100/32 192.168.25.101/32")
		must(t, rs.Stop(vips{vip}))
		check(t, "first stopped", "1212 192.168.25.101/32")
		must(t, rs.Stop(nil))
		check(t, "all stopped", "0000 ")
	})
}

func TestIPv6(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Start(vips{vip6}))
		check(t, "IPv6 needs no ARP sysctl", "0000 fd25::100/128")
		must(t, rs.Start(vips{vip}))
		check(t, "IPv4 joins", "1212 192.168.25.100/32 fd25::100/128")
		must(t, rs.Stop(vips{vip}))
		check(t, "the last IPv4 address goes", "0000 fd25::100/128")
		must(t, rs.Stop(vips{vip6}))
		check(t, "stop", "0000 ")
	})
}

func TestAddressThatWasThereStays(t *testing.T) {
	inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		n.IP("address", "add", "192.168.25.100/32", "dev", "lo")
		must(t, rs.Start(vips{vip, vip2}))
		must(t, rs.Start(vips{vip, vip2}))
		must(t, rs.Stop(nil))
		check(t, "stop", "0000 192.168.25.100/32")
	})
}

func TestStartRepairs(t *testing.T) {
	inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		set(t, "all", "arp_ignore", "3")
		must(t, rs.Start(vips{vip}))
		n.IP("address", "del", "192.168.25.100/32", "dev", "lo")
		set(t, "all", "arp_ignore", "0")
		n.IP("link", "set", "lo", "down")
		must(t, rs.Start(vips{vip}))
		check(t, "start", "1212 192.168.25.100/32")
		if l, err := netlnk.LinkByName("lo"); err != nil || !l.Up {
			t.Errorf("lo is up: %v, %v, want it up", l.Up, err)
		}
		must(t, rs.Stop(nil))
		check(t, "stop restores what was there first", "3000 ")
	})
}

// Settings that suffice are left alone, and so are those that others have set since Start.
func TestOthersSettingsStay(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		set(t, "all", "arp_ignore", "2")
		set(t, "lo", "arp_ignore", "8")
		must(t, rs.Start(vips{vip}))
		check(t, "stricter values stay", "2282 192.168.25.100/32")
		set(t, "all", "arp_announce", "1")
		must(t, rs.Stop(nil))
		check(t, "stop", "2180 ")
	})
}

func TestBadAddresses(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		for _, a := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.18", "::1", "fe80::1%eth0", "ff02::12"} {
			err := rs.Start(vips{vip, netip.MustParseAddr(a)})
			if err == nil || !strings.Contains(err.Error(), "virtual address "+a) {
				t.Errorf("Start(%s) = %v, want an error that names it", a, err)
			}
		}
		if err := rs.Start(nil); err == nil {
			t.Error("Start without an address: no error")
		}
		must(t, rs.Start(vips{netip.MustParseAddr("::ffff:192.168.25.100")}))
		check(t, "an IPv4 address in IPv6 clothes", "1212 192.168.25.100/32")
	})
}

func TestDamagedStateFile(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Start(vips{vip}))
		good, err := os.ReadFile(rs.StateFile())
		must(t, err)
		before := snapshot(t)
		replace := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
		tests := map[string][]byte{
			"empty":          {},
			"cut":            good[:len(good)/2],
			"more":           append(slices.Clone(good), "{}"...),
			"unknown field":  replace(`"boot"`, `"boto"`),
			"no namespace":   []byte(`{"boot": "x"}`),
			"bad address":    replace("192.168.25.100", "192.168.25"),
			"loopback":       replace("192.168.25.100", "127.0.0.1"),
			"foreign sysctl": replace("arp_ignore", "forwarding"),
			"path in device": replace(`"all"`, `"../../ipv6/conf/all"`),
		}
		for name, bad := range tests {
			must(t, os.WriteFile(rs.StateFile(), bad, 0o644))
			_, statusErr := rs.Status(nil)
			for verb, err := range map[string]error{"start": rs.Start(vips{vip2}), "stop": rs.Stop(nil), "status": statusErr} {
				if err == nil || !strings.Contains(err.Error(), "state file "+rs.StateFile()+" is damaged") {
					t.Errorf("%s, %s: %v, want an error that names the damaged file", name, verb, err)
				}
			}
			check(t, name, before)
			if now, _ := os.ReadFile(rs.StateFile()); string(now) != string(bad) {
				t.Errorf("%s: the damaged file was touched", name)
			}
		}
	})
}

// Where the state file cannot be written, nothing is changed.
func TestStateFileCannotBeWritten(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, _ *realserver.RealServer) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "realserver.json.new"), 0o755))
		for _, file := range []string{filepath.Join(dir, "realserver.json"), "/dev/null/realserver.json"} {
			if err := realserver.New(file).Start(vips{vip}); err == nil {
				t.Errorf("Start with state %s: no error", file)
			}
			check(t, "start", "0000 ")
		}
	})
}

// A state file from before the last boot is ignored.
func TestStateOfAnotherBoot(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Start(vips{vip}))
		b, err := os.ReadFile(rs.StateFile())
		must(t, err)
		must(t, rs.Stop(nil))
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		must(t, err)
		old := strings.Replace(string(b), strings.TrimSpace(string(boot)), "another", 1)
		must(t, os.WriteFile(rs.StateFile(), []byte(old), 0o644))
		set(t, "all", "arp_ignore", "3")
		must(t, rs.Start(vips{vip2}))
		check(t, "start", "1212 192.168.25.101/32")
		must(t, rs.Stop(nil))
		check(t, "stop", "3000 ")
	})
}

func TestStateOfAnotherNamespace(t *testing.T) {
	inside(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.Start(vips{vip}))
		nstest.New(t, "other").Do(func() {
			for _, err := range []error{rs.Start(vips{vip}), rs.Stop(nil)} {
				if err == nil || !strings.Contains(err.Error(), "another network namespace") {
					t.Errorf("got %v, want an error that says so", err)
				}
			}
			check(t, "the other namespace", "0000 ")
		})
	})
}
