package dataplane

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// From hook to hook on one device: what was attached is replaced, and nothing
// stays where it is not wanted.
func TestAttach(t *testing.T) {
	withPlane(t, lvs.Plan{}, func(b *bench) {
		for _, tt := range []struct {
			wanted, got lvs.Hook
		}{
			{lvs.HookAuto, lvs.HookTC},
			{lvs.HookNative, lvs.HookNative},
			{lvs.HookGeneric, lvs.HookGeneric},
			{lvs.HookTC, lvs.HookTC},
		} {
			b.set(t, lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: tt.wanted}}})
			at := b.Attachments()
			if len(at) != 1 || at[0].Hook != tt.got || at[0].Why == "" {
				t.Errorf("asked for %s: %+v, want %s", tt.wanted, at, tt.got)
			}
			b.wantPins(t, "ingress_", 1)
			b.wantPins(t, "egress_", 2) // lo has one, too
			b.wantPins(t, "behind_", map[bool]int{true: 0, false: 1}[tt.got == lvs.HookTC])
		}
		b.set(t, lvs.Plan{})
		b.wantPins(t, "ingress_", 0)
		b.wantPins(t, "egress_", 0)
		b.wantPins(t, "behind_", 0)
	})
}

func TestAttachmentOutlivesTheProcess(t *testing.T) {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}}
	withPlane(t, plan, func(b *bench) {
		b.Close()
		b.wantPins(t, "ingress_", 1)
		again := openBench(t, b.pinDir, b.room())
		*b = *again
		b.set(t, plan)
		b.wantPins(t, "ingress_", 1)
		b.wantPins(t, "egress_", 2) // lo has one, too
	})
}

// A restart does not wait for the verifier: the programs that an earlier process of the same
// build has left stay in force, if this one would load the same. Those of another build, for
// another device or of other tables are replaced.
func TestNextProcessTakesUpPrograms(t *testing.T) {
	for _, tt := range []struct {
		name   string
		hook   lvs.Hook
		before func(t *testing.T, b *bench) // the first process sets its plan
		after  func(t *testing.T, b *bench) // it has ended
		stay   []string
	}{
		{name: "the same build, tc", hook: lvs.HookTC, stay: []string{abi.BpfProgWeirTc, abi.BpfProgWeirLocalOut}},
		{
			name: "another build", hook: lvs.HookTC,
			before: func(t *testing.T, b *bench) { b.pretendAnotherBuild(t) },
			stay:   []string{abi.BpfProgWeirLocalOut}, // it is renewed later
		},
		{
			name: "a table is gone", hook: lvs.HookTC,
			after: func(t *testing.T, b *bench) {
				if err := os.Remove(filepath.Join(b.pinDir, abi.BpfVarClocks)); err != nil {
					t.Fatal(err)
				}
			},
			stay: []string{abi.BpfProgWeirLocalOut},
		},
		{
			name: "the same build, native XDP", hook: lvs.HookNative,
			stay: []string{abi.BpfProgWeirXdp, abi.BpfProgWeirBehind, abi.BpfProgWeirLocalOut},
		},
		{
			name: "another Ethernet address", hook: lvs.HookNative,
			after: func(_ *testing.T, b *bench) { b.ns.Batch("link set eth0 address 02:00:00:00:77:01") },
			stay:  []string{abi.BpfProgWeirLocalOut},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: tt.hook}}}
			withPlane(t, lvs.Plan{}, func(b *bench) {
				if tt.before != nil {
					tt.before(t, b)
				}
				b.set(t, plan)
				before, ns := b.inForce(t), b.ns
				b.Close()
				if tt.after != nil {
					tt.after(t, b)
				}
				*b = *openBench(t, b.pinDir, b.room())
				b.ns = ns
				b.set(t, plan)
				after := b.inForce(t)
				// It has no constants, and is loaded in a moment.
				delete(before, abi.BpfProgWeirEgress)
				for name, id := range before {
					if want := slices.Contains(tt.stay, name); (after[name] == id) != want {
						t.Errorf("%s is program %d, and was %d; want the same: %t", name, after[name], id, want)
					}
				}
			})
		})
	}
}

// pretendAnotherBuild has programs loaded from now on as those of another build.
func (b *bench) pretendAnotherBuild(t *testing.T) {
	t.Helper()
	if err := b.spec.Variables[abi.BpfVarObjectSum].Set([32]byte{1}); err != nil {
		t.Fatal(err)
	}
}

// inForce are the programs that are attached by the pins, and that for local traffic, by name.
func (b *bench) inForce(t *testing.T) map[string]ebpf.ProgramID {
	t.Helper()
	all := map[string]ebpf.ProgramID{}
	for _, id := range b.devices.ProgramsInForce() {
		program, err := ebpf.NewProgramFromID(id)
		if err != nil {
			t.Fatal(err)
		}
		info, err := program.Info()
		program.Close()
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = id
	}
	return all
}

func TestUnknownDeviceChangesNothing(t *testing.T) {
	withPlane(t, lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}}, func(b *bench) {
		err := b.Set(lvs.Plan{Devices: []lvs.Device{{Name: "nosuch0", Hook: lvs.HookTC}}})
		if err == nil || !strings.Contains(err.Error(), "nosuch0") {
			t.Errorf("got %v, want the device named", err)
		}
		if at := b.Attachments(); len(at) != 1 || at[0].Device != "eth0" {
			t.Errorf("attached: %+v, want eth0 as before", at)
		}
	})
}

// On lo there is one program as long as there are devices, and after what Remove
// does there is none on any.
func TestNoProgramIsLeft(t *testing.T) {
	plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}}
	withPlane(t, plan, func(b *bench) {
		for _, step := range []struct {
			name     string
			do       func() error
			lo, eth0 string
		}{
			{"attached", func() error { return nil }, "egress 1", "egress 1 ingress 1"},
			{"no devices in the plan", func() error { return b.Set(lvs.Plan{}) }, "", ""},
			{"attached again, behind XDP", func() error {
				return b.Set(lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookGeneric}}})
			}, "egress 1", "egress 1 ingress 1"},
			{"detached", b.devices.DetachAll, "", ""},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			for device, want := range map[string]string{"lo": step.lo, "eth0": step.eth0} {
				if got := programsAt(t, device); got != want {
					t.Errorf("%s: on %s is %q, want %q", step.name, device, got, want)
				}
			}
		}
	})
}

// programsAt counts a device's tcx programs.
func programsAt(t *testing.T, device string) string {
	t.Helper()
	dev, err := netlnk.LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, at := range []struct {
		name   string
		attach ebpf.AttachType
	}{{"egress", ebpf.AttachTCXEgress}, {"ingress", ebpf.AttachTCXIngress}} {
		q, err := link.QueryPrograms(link.QueryOptions{Target: dev.Index, Attach: at.attach})
		if err != nil {
			t.Fatal(err)
		}
		if len(q.Programs) > 0 {
			list = append(list, fmt.Sprintf("%s %d", at.name, len(q.Programs)))
		}
	}
	return strings.Join(list, " ")
}

func (b *bench) wantPins(t *testing.T, prefix string, want int) {
	t.Helper()
	entries, err := os.ReadDir(b.pinDir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			n++
		}
	}
	if n != want {
		t.Errorf("%d pins %s*, want %d", n, prefix, want)
	}
}

// Native XDP that was asked for, with a server behind a device to which XDP does not send,
// says that packets are lost, until the route leads elsewhere. Another reason for the same hook
// is no reason to attach again, and no line in the log.
func TestXDPSaysWhatItLoses(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("198.51.100.11", 1)))
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookNative}}
	var log lockedBuffer
	withLog(t, slog.New(slog.NewTextHandler(&log, nil)), lvs.Plan{}, func(b *bench) {
		b.ns.Batch("link add br0 type bridge", "link set br0 up", "addr add 198.51.100.1/24 dev br0",
			"link add br1 type bridge", "link set br1 up", "addr add 203.0.113.1/24 dev br1")
		const (
			asked = "the configuration says so, but packets whose sender leaves checksums to its device are lost: turn that off there (ethtool -K DEVICE tx off)"
			lost  = asked + ", but XDP loses packets: packets leave by br0, a bridge device, to which XDP does not send"
		)
		for _, step := range []struct {
			name, why string
			told      int // how often attaching stands in the log by then
			do        func() error
		}{
			{"the plan is set", lost, 1, func() error { return b.Set(plan) }},
			{"the route leads by another bridge", strings.ReplaceAll(lost, "br0", "br1"), 1, func() error {
				b.ns.Batch("route add 198.51.100.11 via 203.0.113.2")
				b.resolve()
				return nil
			}},
			{"the route is another", asked, 2, func() error {
				b.ns.Batch("route replace 198.51.100.11 via 192.0.2.12")
				b.resolve()
				return nil
			}},
			{"the route is as before", lost, 3, func() error {
				b.ns.Batch("route del 198.51.100.11 via 192.0.2.12")
				b.resolve()
				return nil
			}},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if at := b.Attachments(); len(at) != 1 || at[0].Hook != lvs.HookNative || at[0].Why != step.why {
				t.Errorf("%s: %+v, want %q", step.name, at, step.why)
			}
			if told := strings.Count(log.String(), `msg="data plane attached" device=eth0`); told != step.told {
				t.Errorf("%s: attaching is told %d times, want %d", step.name, told, step.told)
			}
		}
	})
}

// With Everywhere the data plane is on each device by which clients may come, as devices
// come and go, but for those that are excluded and those that are ports of others.
func TestEverywhere(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	plan.Devices = []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}
	plan.Everywhere, plan.Excluded = true, []string{"left0"}
	withPlane(t, plan, func(b *bench) {
		for _, step := range []struct {
			name string
			ip   []string
			want string
		}{
			{"at first", nil, "eth0"},
			{"a bridge comes, and its ports", []string{
				"link add docker0 address 02:00:00:00:00:77 type bridge", "link add port0 type veth peer name port1", "link set port0 master docker0",
				"link set docker0 up", "link set port0 up", "addr add 172.17.0.1/16 dev docker0", "addr add 172.18.0.1/16 dev port0",
			}, "docker0 eth0"},
			{"a tunnel", []string{"tuntap add tun0 mode tun", "addr add 10.8.0.1/24 dev tun0", "link set tun0 up"}, "docker0 eth0 tun0"},
			{"one that is excluded", []string{"link add left0 type bridge", "link set left0 up", "addr add 172.19.0.1/16 dev left0"}, "docker0 eth0 tun0"},
			{"the port is on its own", []string{"link set port0 nomaster"}, "docker0 eth0 port0 tun0"},
			{"one is down, one has no address", []string{"link set tun0 down", "addr flush dev port0"}, "docker0 eth0"},
			{"the bridge goes", []string{"link del docker0"}, "eth0"},
		} {
			if len(step.ip) > 0 {
				b.ns.Batch(step.ip...)
			}
			nstest.WaitFor(t, step.name+": attached to "+step.want, func() bool {
				b.resolve()
				var names []string
				for _, at := range b.Attachments() {
					names = append(names, at.Device)
				}
				slices.Sort(names)
				return strings.Join(names, " ") == step.want
			})
		}
		if got := b.drifts(t)[attach.Kind]; got.Repaired > 0 {
			t.Errorf("drift was noted: %+v", got)
		}
	})
}

// A bridge loses its last port and gets one again, by which its Ethernet address changes: the
// data plane stays on it, and nothing is told as failed.
func TestBridgeWithoutPorts(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, plan, func(b *bench) {
		b.ns.Batch("link add br0 type bridge", "link set br0 up", "link add port0 type veth peer name port1")
		plan.Devices = []lvs.Device{{Name: "br0", Hook: lvs.HookAuto}}
		b.set(t, plan)
		for _, step := range []string{"link set port0 master br0", "link set port0 nomaster", "link set port1 master br0"} {
			b.ns.Batch(step)
			b.resolve()
			if at := b.Attachments(); len(at) != 1 || at[0].Device != "br0" {
				t.Errorf("%s: attached to %+v, want br0", step, at)
			}
			b.set(t, plan)
		}
		if got := b.drifts(t); len(got) > 0 {
			t.Errorf("drift was noted: %+v", got)
		}
	})
}
