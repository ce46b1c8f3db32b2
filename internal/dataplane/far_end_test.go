package dataplane

import (
	"os/exec"
	"testing"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// Packets to servers behind a veth device come in at its far end at once while that is in
// another namespace and no queue holds what leaves by the device: what the kernel reports is
// followed at once, since it drops such packets where the far end has come here.
func TestFarEnds(t *testing.T) {
	plan := planOf(virtual(lvs.TCP, vip4, lvs.RoundRobin, real("192.0.2.11", 1)))
	withPlane(t, plan, func(b *bench) {
		at := func() bool {
			return entry[abi.BpfFarEnds](b.maps.FarEnds, uint32(0)).Bits[b.index/64]>>(b.index%64)&1 == 1
		}
		far := b.ns.Name + "x"
		for _, step := range []struct {
			name string
			do   []string
			want bool
		}{
			{"at the start", []string{"true"}, true},
			{"with a queue", []string{"tc", "qdisc", "add", "dev", "eth0", "root", "pfifo"}, false},
			{"without it", []string{"tc", "qdisc", "del", "dev", "eth0", "root"}, true},
			{"the far end is here", []string{"ip", "-n", far, "link", "set", "eth0", "netns", b.ns.Name, "name", "eth1", "up"}, false},
			{"and there again", []string{"ip", "link", "set", "eth1", "netns", far, "name", "eth0", "up"}, true},
		} {
			if out, err := exec.Command(step.do[0], step.do[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", step.name, err, out)
			}
			b.resolve()
			if got := at(); got != step.want {
				t.Errorf("%s: %t, want %t", step.name, got, step.want)
			}
		}
	})
}
