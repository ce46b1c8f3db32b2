package vm

import (
	"strings"
	"testing"
	"time"
)

// Real traffic comes out of tunnels by the kernel's own devices, which this
// machine's kernel may not have, in each family's tunnel, and by the BPF program
// attached by clsact. There the program takes IPv4 out of IPv4 and IPv6 out of
// IPv6 only: the mixed families need Linux 6.3.
func TestDecapsulation(t *testing.T) {
	path := program(t, "realserver.test", "test", "-c", "./internal/realserver")
	run := "../../" + path + " -test.v -megabytes 2 -datagrams 50 -test.run "
	out, status := guest(t, 10*time.Minute, "cd internal/realserver && "+
		run+"'^TestTunnelDevicesOfTheKernel$|^TestTunnelTraffic$/^kernel$' && "+
		run+"'^TestTunnelTraffic$/^bpf$/^(IPv4_in_IPv4|IPv6_in_IPv6)$'")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, name := range []string{
		"kernel/IPv4_in_IPv4", "kernel/IPv6_in_IPv6", "kernel/IPv6_in_IPv4", "kernel/IPv4_in_IPv6",
		"bpf/IPv4_in_IPv4", "bpf/IPv6_in_IPv6",
	} {
		if !strings.Contains(out, "--- PASS: TestTunnelTraffic/"+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
}
