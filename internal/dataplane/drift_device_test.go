package dataplane

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/attach"
	"weir/internal/netlnk"
	"weir/lvs"
)

// A device that goes and comes again: the programs are on it, the ways to the
// servers lead by it, and the lease is still that of its instance.
func TestDeviceComesAgain(t *testing.T) {
	t.Parallel()
	setUp := []string{"addr add 192.0.2.1/24 dev eth0", "neigh replace 192.0.2.11 lladdr " + rs1MAC + " dev eth0 nud permanent"}
	for _, tt := range []struct {
		name string
		hook lvs.Hook
		gone []string
		back []string
		// attached is whether the programs have to be attached anew.
		attached bool
	}{
		{"a link down and up, tc", lvs.HookTC, []string{"link set eth0 down"}, []string{"link set eth0 up", setUp[1]}, false},
		{"a link down and up, XDP", lvs.HookNative, []string{"link set eth0 down"}, []string{"link set eth0 up", setUp[1]}, false},
		{"deleted and made again, tc", lvs.HookTC, []string{"link del eth0"}, remade(setUp), true},
		{"deleted and made again, generic XDP", lvs.HookGeneric, []string{"link del eth0"}, remade(setUp), true},
		{"deleted and made again at once", lvs.HookTC, nil, append([]string{"link del eth0"}, remade(setUp)...), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
			plan.Instances = driftPlan().Instances
			plan.Devices = []lvs.Device{{Name: "eth0", Hook: tt.hook}}
			var log lockedBuffer
			withDriftLog(t, slog.New(slog.NewTextHandler(&log, nil)), plan, func(b *bench) {
				b.renew(t, time.Hour)
				if len(tt.gone) > 0 {
					b.ns.Batch(tt.gone...)
					b.compared(t)
				}
				b.ns.Batch(tt.back...)
				begun := time.Now()
				link, err := netlnk.LinkByName("eth0")
				if err != nil {
					t.Fatal(err)
				}
				b.index = link.Index // the packets come by it
				port := 1000
				for wrong := "?"; wrong != ""; time.Sleep(5 * time.Millisecond) {
					port++
					wrong = b.notAttached(link.Index, tt.hook)
					if got := b.pick(t, places[0], syn(port)); got != "rs1" {
						wrong += fmt.Sprintf("a client gets %q, want rs1", got)
					}
					if took := time.Since(begun); took > repairBound+driftSlack {
						t.Fatalf("not back after %s: %s", took, wrong)
					}
				}
				t.Logf("back after %s", time.Since(begun).Round(time.Millisecond))
				var lease abi.BpfLease
				if err := b.maps.Leases.Lookup(b.leaseOf(vi1), &lease); err != nil || lease.Ifindex != uint32(link.Index) {
					t.Errorf("the lease is %+v, %v; want one of device %d", lease, err, link.Index)
				}
				if leased, err := b.Leased(vi1); !leased || err != nil {
					t.Errorf("leased: %t, %v", leased, err)
				}
				told := 1
				if tt.attached {
					told = 2 // at the start and once more
				}
				if got := strings.Count(log.String(), `msg="data plane attached" device=eth0`); got != told {
					t.Errorf("attaching is told %d times, want %d:\n%s", got, told, log.String())
				}
				if got := b.drifts(t)[attach.Kind]; got.Found > 0 {
					t.Errorf("it is drift %d times, want none: the machine's device is another one", got.Found)
				}
				b.wantPins(t, "ingress_", 1)
				b.wantPins(t, "egress_", 2) // lo has one, too
			})
		})
	}
}

// remade is a new eth0 with the old one's address.
func remade(setUp []string) []string {
	return append([]string{
		"link add eth0 address " + ourMAC + " type veth peer name eth1", "link set eth1 up", "link set eth0 up",
	}, setUp...)
}

// notAttached says what is not on the device, "" for nothing.
func (b *bench) notAttached(index int, hook lvs.Hook) string {
	b.repairing.Lock()
	defer b.repairing.Unlock()
	at := b.Attachments()
	if len(at) != 1 || at[0].Device != "eth0" || at[0].Hook != hook {
		return fmt.Sprintf("attached to %+v, want eth0 by %s; ", at, hook)
	}
	for _, name := range []string{fmt.Sprintf("ingress_%d_%s", index, hook), fmt.Sprintf("egress_%d", index)} {
		l, err := link.LoadPinnedLink(filepath.Join(b.pinDir, name), nil)
		if err != nil {
			return fmt.Sprintf("%s: %v; ", name, err)
		}
		info, err := l.Info()
		l.Close()
		if err != nil || deviceOf(info) != index {
			return fmt.Sprintf("%s is off: %v; ", name, err)
		}
	}
	return ""
}

// A plan that names a device which is not there yet: it is attached to when it
// comes, and what the plan does not name is let go.
func TestDeviceComesLater(t *testing.T) {
	withDrift(t, lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: lvs.HookTC}}}, func(b *bench) {
		if err := b.Set(lvs.Plan{Devices: []lvs.Device{{Name: "late0", Hook: lvs.HookTC}}}); err == nil {
			t.Fatal("no error for a device that is not there")
		}
		b.ns.Batch("link add late0 type veth peer name late1", "link set late0 up")
		begun := time.Now()
		for {
			at := b.Attachments()
			if len(at) == 1 && at[0].Device == "late0" {
				break
			}
			if time.Since(begun) > repairBound+driftSlack {
				t.Fatalf("attached to %+v, want late0 alone", at)
			}
			time.Sleep(5 * time.Millisecond)
		}
		b.wantPins(t, "ingress_", 1)
	})
}
