package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

// removeMany is how many things of a kind TestRemovingHoldsNothingUp removes.
const removeMany = 1000

// removeConfig is a director with a service that is asked all the time, with another one of so
// many real servers behind a router, and with so many VIPs beside its own.
func removeConfig(priority, servers, vips int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vrrp_instance VI_1 {\n interface ens160\n virtual_router_id 51\n priority %d\n advert_int 1\n virtual_ipaddress {\n 192.168.25.100\n }\n virtual_ipaddress_excluded {\n", priority)
	for i := range vips {
		fmt.Fprintf(&b, " 10.25.%d.%d\n", i/250, i%250+1)
	}
	b.WriteString(" }\n}\nvirtual_server 192.168.25.100 80 {\n lb_algo wrr\n lb_kind DR\n protocol TCP\n real_server 192.168.25.31 80 {\n }\n real_server 192.168.25.32 80 {\n }\n}\n")
	if servers > 0 {
		b.WriteString("virtual_server 192.168.25.100 81 {\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n")
		for i := range servers {
			fmt.Fprintf(&b, " real_server 172.16.%d.%d 80 {\n }\n", i/250, i%250+1)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// A reload removes a thousand real servers of a service, or a thousand VIPs, as soon as it has
// added them. Meanwhile no advertisement is late, the standby stays one, clients of another
// service are served, and the API, which is asked every 10 ms, answers.
func TestRemovingHoldsNothingUp(t *testing.T) {
	small := func(priority int) string { return removeConfig(priority, 1, 0) }
	c := build(t, lab.ClusterOptions{
		Options: lab.Options{Executable: executable, Logger: slog.New(slog.DiscardHandler)},
		Client:  netip.MustParsePrefix("192.168.25.10/24"), Target: netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []lab.NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: small(100), Web: "node01 service"},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Config: small(90), Web: "node02 service"},
		},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("node01").Namespace().AddRoute(netip.MustParsePrefix("172.16.0.0/12"), netip.MustParseAddr("192.168.25.10"))
		},
	})
	l, err := listen(c.Client())
	c.must(err)
	t.Cleanup(l.close)
	c.must(c.Start(c.within(2 * time.Minute)))
	c.waitState(c.node01, time.Time{}, "master", 10*time.Second)
	c.waitAnswer()
	const advertInt = time.Second
	for _, tt := range []struct {
		name string
		many string
		gone func() bool
	}{
		{"real servers of one service", removeConfig(100, removeMany, 0), func() bool { return true }},
		{"VIPs", removeConfig(100, 1, removeMany), func() bool {
			addrs, err := c.node01.Namespace().Addrs("ens160")
			c.must(err)
			return len(addrs) == 2
		}},
	} {
		load, begun := c.Stream(t.Context(), 50), time.Now()
		asked := askAlways(t, c.node01)
		reload := func(text string) time.Duration {
			c.write(c.node01, text)
			begun := time.Now()
			if out, code := c.weir(c.node01, "reload"); code != 0 {
				t.Fatalf("%s: exit code %d\n%s", tt.name, code, out)
			}
			return time.Since(begun)
		}
		added := reload(tt.many)
		removed := reload(small(100))
		nstest.WaitFor(t, "all are gone", tt.gone)
		longest := asked()
		mark := l.count(c.node01)
		nstest.WaitFor(t, "the advertisement that follows", func() bool { return l.count(c.node01) > mark })
		load.Settle()
		st := load.Stats(begun, time.Now())
		load.Stop()
		t.Logf("%d %s are added in %s and removed in %s; %s", removeMany, tt.name, added.Round(time.Millisecond), removed.Round(time.Millisecond), st)
		if st.Failures() > 0 {
			t.Errorf("%s: clients were refused: %s", tt.name, st)
		}
		c.wantAtMost(tt.name+" removed", removed, added+advertInt)
		c.wantAtMost(tt.name+": the API's longest answer", longest, advertInt)
		c.wantSteady(tt.name, l, begun)
	}
}

// askAlways asks a weir for a snapshot every 10 ms. The function that it returns ends that, and
// says how long the longest answer took.
func askAlways(t *testing.T, n *lab.Node) (end func() time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	client, longest := api.NewClient(n.RunDir()), time.Duration(0)
	var asking sync.WaitGroup
	asking.Go(func() {
		every := time.NewTicker(10 * time.Millisecond)
		defer every.Stop()
		for ctx.Err() == nil {
			begun := time.Now()
			if _, err := client.Snapshot(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("the API: %v", err)
				return
			}
			longest = max(longest, time.Since(begun))
			<-every.C
		}
	})
	return func() time.Duration {
		cancel()
		asking.Wait()
		return longest
	}
}
