package cluster

import (
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/lab"
)

// An instance's IPv6 address, which adverts of VRRP version 2 cannot list, is on the master.
// The machines of the link learn its MAC address by unsolicited neighbour advertisements: at
// a takeover, when the address was removed and repaired, and when a reload adds one.
func TestIPv6AddressFollowsTheMaster(t *testing.T) {
	t.Parallel()
	const vip, second = "2001:db8:25::100", "2001:db8:25::101"
	with := func(file string, vips ...string) string {
		return strings.Replace(file, "virtual_ipaddress {", "virtual_ipaddress_excluded {\n        "+strings.Join(vips, "\n        ")+"\n    }\n    virtual_ipaddress {", 1)
	}
	w := wish{weights: [3]int{1, 2, -1}}
	c := start(t, func(o *lab.ClusterOptions) {
		o.IPv6 = true
		for i := range o.Nodes {
			o.Nodes[i].Config = with(w.file(o.Nodes[i].Name), vip+"/64")
		}
	})
	c.client("addr", "add", "2001:db8:25::10/64", "dev", "ens160", "nodad")
	c.must(c.ask(vip))
	c.waitNeighbour(vip, c.node01)

	c.must(c.node01.Die())
	c.waitNeighbour(vip, c.node02)

	c.client("neighbour", "replace", vip, "lladdr", "02:00:00:00:00:66", "dev", "ens160", "nud", "stale")
	c.must(ip("addr", "del", vip+"/64", "dev", "ens160")(c.node02))
	c.waitNeighbour(vip, c.node02)

	c.client("neighbour", "replace", second, "lladdr", "02:00:00:00:00:66", "dev", "ens160", "nud", "stale")
	c.write(c.node02, with(w.file("node02"), vip+"/64", second+"/64"))
	if out, code := c.weir(c.node02, "plan"); code != 2 || !strings.Contains(out, "virtual_ipaddress_excluded") {
		t.Errorf("plan: exit code %d:\n%s", code, out)
	}
	c.must(syscall.Kill(c.node02.Weir().Pid(), unix.SIGHUP))
	c.waitNeighbour(second, c.node02)

	c.must(c.node02.StopWeir(c.within(10 * time.Second)))
	addrs, err := c.node02.Namespace().Addrs("ens160")
	c.must(err)
	for _, p := range addrs {
		if p.Addr() == netip.MustParseAddr(vip) || p.Addr() == netip.MustParseAddr(second) {
			t.Errorf("node02 has stopped and keeps %s", p)
		}
	}
}

// client runs ip on the client, and returns its output.
func (c *cluster) client(args ...string) string {
	c.t.Helper()
	out, err := exec.Command("ip", append([]string{"-n", c.Client().Name}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// ask sends a packet from the client to an address, so that the client resolves the
// neighbour.
func (c *cluster) ask(addr string) error {
	return c.Client().Do(func() error {
		s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		return unix.Sendto(s, []byte("?"), 0, &unix.SockaddrInet6{Port: 9, Addr: netip.MustParseAddr(addr).As16()})
	})
}

// waitNeighbour waits until the client has a node's MAC address for this address.
func (c *cluster) waitNeighbour(addr string, n *lab.Node) {
	c.t.Helper()
	mac, err := n.Namespace().MAC("ens160")
	c.must(err)
	for ctx := c.within(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		entry := c.client("neighbour", "show", addr)
		if strings.Contains(entry, mac.String()) {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("the client has %q, want %s at %s, %s", entry, addr, n.Spec.Name, mac)
		}
	}
}
