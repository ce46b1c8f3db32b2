package realserver_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/internal/realserver"
)

// byBPF is the decapsulation that every kernel has.
var byBPF = realserver.Tunnel{Decap: realserver.DecapBPF}

// twoNets is a real server with a device in each of two networks, and one device without
// an address.
func twoNets(t *testing.T, fn func(n *nstest.Namespace, rs *realserver.RealServer)) {
	t.Helper()
	inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		nstest.Veth(n, "ens160", n, "peer160")
		nstest.Veth(n, "ens192", n, "peer192")
		n.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
		n.IP("address", "add", "fd25::31/64", "dev", "ens160", "nodad")
		n.IP("address", "add", "10.0.2.1/24", "dev", "ens192")
		fn(n, rs)
	})
}

func wantStatus(t *testing.T, step string, rs *realserver.RealServer, problems ...string) realserver.Report {
	t.Helper()
	rep, err := rs.Status(nil)
	must(t, err)
	if !slices.Equal(rep.Problems, problems) {
		t.Errorf("%s: problems\n%s\nwant\n%s", step, strings.Join(rep.Problems, "\n"), strings.Join(problems, "\n"))
	}
	return rep
}

// The program is attached to each device with an address, and detached after the last Stop.
func TestTunnelStartStop(t *testing.T) {
	twoNets(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		on := func(step string, ens160, ens192 bool) {
			t.Helper()
			t.Log(step)
			wantAttached(t, "ens160", ens160)
			wantAttached(t, "ens192", ens192)
			wantAttached(t, "peer160", false)
		}
		must(t, rs.StartTunnel(vips{vip}, byBPF))
		on("start", true, true)
		check(t, "start", "1212 192.168.25.100/32")
		rep := wantStatus(t, "start", rs)
		want := []string{
			"packets come out of tunnels by a BPF program on ens160, ens192, sent to 192.168.25.31, fd25::31, 10.0.2.1 by anybody",
			"packets that came out: 0",
		}
		if !slices.Equal(rep.Notes, want) {
			t.Errorf("notes %q, want %q", rep.Notes, want)
		}
		must(t, rs.StartTunnel(vips{vip}, byBPF))
		must(t, rs.Start(vips{vip, vip2}))
		on("started again, and another for direct routing", true, true)
		wantStatus(t, "again", rs)
		must(t, rs.StartTunnel(vips{vip6}, byBPF))
		must(t, rs.Stop(vips{vip}))
		on("one of two stopped", true, true)
		wantStatus(t, "one of two stopped", rs)
		must(t, rs.Stop(vips{vip6}))
		on("both stopped", false, false)
		wantStatus(t, "both stopped", rs)
		check(t, "direct routing goes on", "1212 192.168.25.101/32")
		must(t, rs.Stop(nil))
		must(t, rs.Stop(nil))
		check(t, "stop", "0000 ")
	})
}

// Where devices are named, only these get the program; later calls may name others.
func TestTunnelDevices(t *testing.T) {
	twoNets(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		one := realserver.Tunnel{Devices: []string{"ens192"}, Directors: vips{clientIP}, Decap: realserver.DecapBPF}
		must(t, rs.StartTunnel(vips{vip}, one))
		wantAttached(t, "ens160", false)
		wantAttached(t, "ens192", true)
		rep := wantStatus(t, "one device", rs)
		if want := "on ens192, sent to 10.0.2.1 by 192.168.25.9"; len(rep.Notes) == 0 || !strings.HasSuffix(rep.Notes[0], want) {
			t.Errorf("notes %q, want %q", rep.Notes, want)
		}
		must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Devices: []string{"ens160"}, Directors: vips{rip}}))
		rep = wantStatus(t, "two devices", rs)
		if want := "on ens160, ens192, sent to 192.168.25.31, fd25::31, 10.0.2.1 by 192.168.25.9, 192.168.25.31"; len(rep.Notes) == 0 || !strings.HasSuffix(rep.Notes[0], want) {
			t.Errorf("notes %q, want %q", rep.Notes, want)
		}
	})
}

// A Tunnel that is wrong is refused, and nothing is changed.
func TestTunnelRefused(t *testing.T) {
	inside(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		refuse := func(tunnel realserver.Tunnel, want string) {
			t.Helper()
			if err := rs.StartTunnel(vips{vip}, tunnel); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", tunnel, err, want)
			}
			check(t, "refused", "0000 ")
			if _, err := os.Stat(rs.StateFile()); !os.IsNotExist(err) {
				t.Errorf("a state file: %v", err)
			}
		}
		refuse(byBPF, "no device has an address to which directors could send")
		nstest.Veth(n, "ens160", n, "peer")
		n.IP("address", "add", "192.168.25.31/24", "dev", "ens160")
		refuse(realserver.Tunnel{Devices: []string{"eth7"}}, `device "eth7": no such device`)
		refuse(realserver.Tunnel{Devices: []string{"lo"}}, `device "lo" has no Ethernet address`)
		refuse(realserver.Tunnel{Devices: []string{"peer"}}, "no device has an address")
		refuse(realserver.Tunnel{Directors: vips{netip.MustParseAddr("224.0.0.18")}}, "director 224.0.0.18: expected the address from which it sends")
		refuse(realserver.Tunnel{Decap: "magic"}, `decapsulation by "magic": expected auto, kernel or bpf`)
		if len(decaps(t)) == 1 {
			refuse(realserver.Tunnel{Decap: realserver.DecapKernel}, "this kernel has no ipip device: load its module (modprobe ipip), or decapsulate by a BPF program (--decap bpf)")
		}
	})
}

// Status reports each fault in words, and Start repairs it.
func TestTunnelStatus(t *testing.T) {
	const run = ": run weir realserver start --method tunnel --vip 192.168.25.100"
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, n *nstest.Namespace)
		want  []string
	}{
		{"filter gone", func(t *testing.T, n *nstest.Namespace) {
			l, err := netlnk.LinkByName("ens160")
			must(t, err)
			must(t, netlnk.DeleteFilter(l.Index, netlnk.FilterDecap))
		}, []string{"decapsulation is not attached to ens160" + run}},
		{"device made anew", func(t *testing.T, n *nstest.Namespace) {
			n.IP("link", "del", "ens192")
			nstest.Veth(n, "ens192", n, "peer192")
			n.IP("address", "add", "10.0.2.1/24", "dev", "ens192")
		}, []string{"decapsulation is not attached to ens192" + run}},
		{"another address", func(t *testing.T, n *nstest.Namespace) {
			n.IP("address", "del", "10.0.2.1/24", "dev", "ens192")
			n.IP("address", "add", "10.0.2.7/24", "dev", "ens192")
		}, []string{
			"ens160: the addresses that tunnels may end at are 10.0.2.1, 192.168.25.31, fd25::31, expected 10.0.2.7, 192.168.25.31, fd25::31" + run,
			"ens192: the addresses that tunnels may end at are 10.0.2.1, 192.168.25.31, fd25::31, expected 10.0.2.7, 192.168.25.31, fd25::31" + run,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			twoNets(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
				must(t, rs.StartTunnel(vips{vip}, byBPF))
				wantStatus(t, "start", rs)
				tt.spoil(t, n)
				wantStatus(t, tt.name, rs, tt.want...)
				must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{}))
				wantStatus(t, "repaired", rs)
			})
		})
	}
}

// With a strict rp_filter the route to a client has to use the device that its packets come
// in on.
func TestTunnelReversePath(t *testing.T) {
	twoNets(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.StartTunnel(vips{vip}, realserver.Tunnel{Devices: []string{"ens160"}, Decap: realserver.DecapBPF}))
		set(t, "all", "rp_filter", "1")
		problem := "rp_filter of ens160 is strict, and no default route leads by it, so packets of clients from elsewhere are dropped: run sysctl -w net/ipv4/conf/ens160/rp_filter=2"
		wantStatus(t, "no default route", rs, problem)
		n.IP("route", "add", "default", "via", "10.0.2.254")
		wantStatus(t, "another device has it", rs, problem)
		n.IP("route", "replace", "default", "via", "192.168.25.254")
		rep := wantStatus(t, "it leads there", rs)
		if want := "rp_filter of ens160 is strict: packets of clients to whom another device leads are dropped"; !slices.Contains(rep.Notes, want) {
			t.Errorf("notes %q, want %q", rep.Notes, want)
		}
		n.IP("route", "del", "default")
		set(t, "ens160", "rp_filter", "2")
		wantStatus(t, "loose", rs)
	})
}

// Stop works although a device no longer exists.
func TestTunnelStopWithoutDevice(t *testing.T) {
	twoNets(t, func(n *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.StartTunnel(vips{vip, vip6}, realserver.Tunnel{Devices: []string{"ens160", "ens192"}, Decap: realserver.DecapBPF}))
		n.IP("link", "del", "ens192")
		must(t, rs.Stop(vips{vip6}))
		wantAttached(t, "ens160", true)
		wantStatus(t, "one of two stopped", rs)
		n.IP("link", "del", "ens160")
		must(t, rs.Stop(nil))
		check(t, "stop", "0000 ")
	})
}

func TestDamagedTunnelState(t *testing.T) {
	twoNets(t, func(_ *nstest.Namespace, rs *realserver.RealServer) {
		must(t, rs.StartTunnel(vips{vip}, byBPF))
		good, err := os.ReadFile(rs.StateFile())
		must(t, err)
		for name, change := range map[string][2]string{
			"decapsulation by nobody": {`"by": "bpf"`, `"by": "magic"`},
			"no decapsulation":        {`"decap"`, `"directors"`},
			"a device not ours":       {`"attached"`, `"tunnels": [{"name": "eth0", "kind": "ipip", "local": "", "remote": ""}], "attached"`},
			"a loopback director":     {`"attached"`, `"directors": ["127.0.0.1"], "attached"`},
		} {
			bad := strings.Replace(string(good), change[0], change[1], 1)
			if bad == string(good) {
				t.Fatalf("%s: not in the file:\n%s", name, good)
			}
			must(t, os.WriteFile(rs.StateFile(), []byte(bad), 0o644))
			if err := rs.Stop(nil); err == nil || !strings.Contains(err.Error(), "is damaged") {
				t.Errorf("%s: %v, want an error that says so", name, err)
			}
			wantAttached(t, "ens160", true)
		}
		must(t, os.WriteFile(rs.StateFile(), good, 0o644))
		must(t, rs.Stop(nil))
		wantAttached(t, "ens160", false)
	})
}

// HasTunnelKind tells the truth about this kernel.
func TestTunnelDevicesOfTheKernel(t *testing.T) {
	for _, kind := range []string{"ipip", "sit", "ip6tnl"} {
		has, err := netlnk.HasTunnelKind(kind)
		must(t, err)
		n := nstest.New(t, fmt.Sprintf("kind-%s", kind))
		n.Do(func() {
			tunnel := netlnk.Tunnel{Name: "weir-test", Kind: kind, Local: rip}
			if kind == "ip6tnl" {
				tunnel.Local = netip.MustParseAddr("fd25::31")
			}
			err := netlnk.AddTunnel(tunnel)
			if has {
				err = errors.Join(err, netlnk.DeleteTunnel(tunnel))
			}
			if (err == nil) != has {
				t.Errorf("the kernel has %s: %v, but adding and deleting one gives %v", kind, has, err)
			}
			if links := n.IP("link", "show"); strings.Contains(links, "weir-") {
				t.Errorf("left:\n%s", links)
			}
		})
	}
}
