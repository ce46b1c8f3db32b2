package cluster

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// A machine on the link that has the VIPs, of both families, before the director does: the
// director takes them in its time all the same, and says who has them.
func TestVIPsThatAnotherMachineHas(t *testing.T) {
	t.Parallel()
	const vip6 = "2001:db8:25::100"
	file := strings.Replace(fmt.Sprintf(behindConfig, 100, "DR", realServers("192.168.25.32")),
		"virtual_ipaddress {", "virtual_ipaddress_excluded {\n        "+vip6+"/64\n    }\n    virtual_ipaddress {", 1)
	opts := lab.ClusterOptions{
		Options: lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"), IPv6: true,
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: file},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Web: "node02 service"},
		},
	}
	c := build(t, opts)
	for _, addr := range []string{"192.168.25.100/24", vip6 + "/64"} {
		args := []string{"addr", "add", addr, "dev", "ens160"}
		if strings.Contains(addr, ":") {
			args = append(args, "nodad")
		}
		c.must(ip(args...)(c.node02))
	}
	c.must(c.Start(c.within(2 * time.Minute)))
	begun := c.waitState(c.node01, time.Time{}, "backup", 10*time.Second)
	c.wantAtMost("master", c.waitState(c.node01, begun, "master", 10*time.Second).Sub(begun), 3*time.Second+time.Second*156/256+200*time.Millisecond)
	mac, err := c.node02.Namespace().MAC("ens160")
	c.must(err)
	for _, vip := range []string{"192.168.25.100", vip6} {
		_, err := c.node01.WaitFrom(c.within(30*time.Second), begun, "who has "+vip, func(e model.Event) bool {
			return e.Kind == model.DriftNotRepaired && strings.HasPrefix(e.Detail("thing"), vip+" on ") && strings.Contains(e.Detail("error"), mac.String())
		})
		c.must(err)
		if out, _ := c.weir(c.node01, "status"); !strings.Contains(out, "CONFLICT: "+mac.String()+" has "+vip+" for") {
			t.Errorf("weir status does not have it:\n%s", out)
		}
	}
}
