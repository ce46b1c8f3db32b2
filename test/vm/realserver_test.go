package vm

import (
	"strings"
	"testing"
	"time"
)

// Real traffic is decapsulated by the kernel's tunnel devices, which the kernel outside of the
// guest may not have, in each pair of families, and by the BPF program. On Linux 6.1 the
// program only takes IPv4 out of IPv4 and IPv6 out of IPv6: mixed families need Linux 6.3.
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
