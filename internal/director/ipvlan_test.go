package director

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/cluster"
)

// An instance with use_ipvlan speaks from its device's address. Where the kernel has no ipvlan
// the instance is in FAULT, and says why, until the kernel has it; the others are not held up.
func TestIpvlan(t *testing.T) {
	simulate(t, func(t *testing.T, s *site) {
		one, other := vrrpOn(51, 150, theVIP), vrrpOn(52, 150, "192.0.2.101/24")
		one.IPVLAN = conf.Ipvlan{On: true, Name: "vrrp.51", Mode: "bridge", Addr: netip.MustParsePrefix("192.0.2.7/24")}
		one.SourceIP = one.IPVLAN.Addr.Addr()
		n := s.add(s.segment.Machine("192.0.2.1/24"), cfg(one, other))
		devices := n.Director.machine.VMACs.(*vmacs)
		devices.noIpvlan.Store(true)
		defer n.start().stop()
		time.Sleep(time.Minute)
		n.want(cluster.Fault, "192.0.2.101/24")
		if got := n.instance().Fault; !strings.Contains(got, "this kernel has no devices of this kind") {
			t.Errorf("the fault is %q", got)
		}
		n.wantLogged("follow this machine's surroundings, trying on", 1)

		devices.noIpvlan.Store(false)
		time.Sleep(time.Minute)
		n.want(cluster.Master, "192.0.2.100/32 192.0.2.101/24")
		if h := n.instances.Held()[one.SourceIP]; h.Device != "vrrp.51" || h.Base != "eth0" {
			t.Errorf("it speaks from %s by %q over %q", one.SourceIP, h.Device, h.Base)
		}
		for _, d := range n.machine.Plan().Devices {
			if d.Name != "eth0" {
				t.Errorf("the data plane is on %s, want eth0 alone", d.Name)
			}
		}

		n.machine.Take("vrrp.51", one.IPVLAN.Addr)
		time.Sleep(100 * time.Millisecond)
		if got := n.instance().Fault; !strings.Contains(got, "192.0.2.7") {
			t.Errorf("without its address the fault is %q", got)
		}
	})
}
