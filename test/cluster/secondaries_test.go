package cluster

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

const promoting = `vrrp_instance VI_1 {
    interface ens160
    virtual_router_id 51
    priority 100
    promote_secondaries
    virtual_ipaddress {
        192.168.26.100/24
        192.168.26.101/24
    }
}
`

// With promote_secondaries the interface keeps the second VIP of a network when a reload takes
// the first one away. A killed weir leaves the setting to the next one, and the end of that puts
// back what was set before.
func TestPromoteSecondaries(t *testing.T) {
	t.Parallel()
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.26.100:80"),
		Nodes: []lab.NodeSpec{{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: promoting}},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("node01").Namespace().Sysctl("ipv4/conf/ens160/promote_secondaries", "0")
		},
	})
	want := func(when, value string) {
		t.Helper()
		c.must(c.node01.Namespace().Do(func() error {
			got, err := os.ReadFile("/proc/sys/net/ipv4/conf/ens160/promote_secondaries")
			if strings.TrimSpace(string(got)) != value {
				t.Errorf("%s: promote_secondaries is %s, want %s", when, got, value)
			}
			return err
		}))
	}
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, model.Master, 30*time.Second)
	want("master", "1")

	c.must(os.WriteFile(c.node01.ConfigFile(), []byte(strings.Replace(promoting, "        192.168.26.100/24\n", "", 1)), 0o644))
	out, err := c.node01.Exec(c.within(time.Minute), "reload", "--run-dir", c.node01.RunDir())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addrs, err := c.node01.Namespace().Addrs("ens160")
	c.must(err)
	if all := fmt.Sprint(addrs); !strings.Contains(all, "192.168.26.101/24") || strings.Contains(all, "192.168.26.100") {
		t.Errorf("the interface has %s, want 192.168.26.101 and not .100", all)
	}

	c.must(c.node01.KillWeir())
	want("killed", "1")
	mark := time.Now()
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	c.waitState(c.node01, mark, model.Master, 30*time.Second)
	want("master again", "1")
	c.must(c.node01.StopWeir(c.within(time.Minute)))
	want("stopped", "0")
}
