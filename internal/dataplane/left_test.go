package dataplane

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"weir/lvs"
)

// A data plane with another folder of pins has been left on the devices, and nobody renews
// its leases: the new one takes its programs off, at whichever hook they are, and none of
// its own.
func TestDataPlaneWithOtherPins(t *testing.T) {
	for i, hooks := range [][2]lvs.Hook{{lvs.HookTC, lvs.HookTC}, {lvs.HookGeneric, lvs.HookTC}, {lvs.HookNative, lvs.HookNative}} {
		t.Run(fmt.Sprintf("%s, then %s", hooks[0], hooks[1]), func(t *testing.T) {
			plan := lvs.Plan{Devices: []lvs.Device{{Name: "eth0", Hook: hooks[0]}}}
			withPlane(t, plan, func(b *bench) {
				var log strings.Builder
				other := benchOf(t, Options{
					PinDir: fmt.Sprintf("%s-other-%d", b.pinDir, i), Connections: 1 << 15, RealServers: 1024,
					Log: slog.New(slog.NewTextHandler(&log, nil)),
				})
				defer func() {
					if err := other.Remove(); err != nil {
						t.Error(err)
					}
				}()
				plan.Devices[0].Hook = hooks[1]
				for range 2 { // the second time it finds its own
					other.set(t, plan)
					for device, want := range map[string]string{"lo": "egress 1", "eth0": "egress 1 ingress 1"} {
						if got := programsAt(t, device); got != want {
							t.Errorf("on %s is %q, want %q", device, got, want)
						}
					}
				}
				if got := other.Attachments(); len(got) != 1 || got[0].Hook != hooks[1] {
					t.Errorf("attached: %+v", got)
				}
				if n := strings.Count(log.String(), "another folder of pins"); n != 2 || !strings.Contains(log.String(), "device=eth0") {
					t.Errorf("told %d times, want once for lo and once for eth0:\n%s", n, log.String())
				}
			})
		})
	}
}
