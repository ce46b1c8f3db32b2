package cluster

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

var (
	quorumTurns = flag.Int("quorum-turns", 5, "how often TestSorryServerUnderLoad has the quorum lost and gained; 20 is the long form")
	quorumRate  = flag.Int("quorum-rate", 500, "how many requests a second it makes; 1000 is the long form")
)

// threeServers is a director's file with the web servers of three nodes, each checked every
// second; of the third one, of the virtual_server and of the weir block it says more.
func threeServers(node, check, third, virtualServer, weir string) string {
	priority := 100
	if node != "node01" {
		priority = 90
	}
	server := func(n int) string {
		return fmt.Sprintf("    real_server 192.168.25.3%d 80 {\n        inhibit_on_failure\n        %s\n    }\n", n, check)
	}
	if third == "" {
		third = server(3)
	}
	return fmt.Sprintf(`weir {
    conn_reuse_mode 2
    %s
}
vrrp_instance VI_1 {
    interface ens160
    virtual_router_id 51
    priority %d
    virtual_ipaddress {
        192.168.25.100
    }
}
virtual_server 192.168.25.100 80 {
    delay_loop 1
    retry 1
    delay_before_retry 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    %s
%s%s%s}
`, weir, priority, virtualServer, server(1), server(2), third)
}

// startThree builds two directors, which are web servers too, and a third web server.
func startThree(t *testing.T, file func(node string) string, prepare func(*lab.Cluster) error) *cluster {
	t.Helper()
	c := start(t, func(o *lab.ClusterOptions) {
		o.Prepare = prepare
		for i := range o.Nodes {
			o.Nodes[i].Config = file(o.Nodes[i].Name)
		}
		o.Nodes = append(o.Nodes, lab.NodeSpec{
			Name: "node03", Addr: netip.MustParsePrefix("192.168.25.33/24"), Web: "node03 service",
			RealServer: []string{"start", "--vip", "192.168.25.100", "--method", "direct", "--state", t.TempDir() + "/realserver.json"},
		})
	})
	c.waitNoVIP(c.node02) // which balances once more what it gets while it is master, too
	return c
}

// health is the page by which a web server is checked: while it fails, the server still serves.
type health struct {
	ok      atomic.Bool
	servers []*http.Server
}

// serve has a node serve the page at port 8080 until close is called.
func (h *health) serve(n *lab.Node) error {
	h.ok.Store(true)
	var l net.Listener
	if err := n.Namespace().Do(func() (err error) {
		l, err = net.Listen("tcp4", n.Spec.Addr.Addr().String()+":8080")
		return err
	}); err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	h.servers = append(h.servers, s)
	return nil
}

func (h *health) close() {
	for _, s := range h.servers {
		_ = s.Close()
	}
}

func (h *health) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if !h.ok.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// The page by which the servers are checked fails again and again while they still serve: the
// sorry server takes over and gives back, and no request fails.
func TestSorryServerUnderLoad(t *testing.T) {
	const check = "HTTP_GET {\n connect_port 8080\n url {\n path /\n status_code 200\n }\n }"
	var page health
	c := startThree(t, func(node string) string {
		return threeServers(node, check, "\n", "sorry_server 192.168.25.33 80\n sorry_server_inhibit\n sorry_server_lvs_method DR", "")
	}, func(c *lab.Cluster) error {
		return errors.Join(page.serve(c.Node("node01")), page.serve(c.Node("node02")))
	})
	t.Cleanup(page.close) // before the cluster goes
	for _, host := range []string{"31", "32"} {
		_, err := c.node01.Wait(c.within(20*time.Second), "first check", lab.IsFirstCheck("192.168.25."+host+":8080"))
		c.must(err)
	}
	turned := func(kind model.Kind, from time.Time) {
		t.Helper()
		_, err := c.node01.WaitFrom(c.within(time.Minute), from, string(kind), lab.IsKind(kind))
		c.must(err)
	}
	load := c.Stream(t.Context(), *quorumRate)
	defer load.Stop()
	begun := time.Now()
	by := func(sorry bool) {
		t.Helper()
		_, err := load.WaitFor(c.within(time.Minute), time.Now(), func(r lab.Result) bool {
			return r.Failure == "" && (r.By == "node03 service") == sorry
		})
		c.must(err)
	}
	for range *quorumTurns {
		for _, ok := range []bool{false, true} {
			from := time.Now()
			page.ok.Store(ok)
			turned(map[bool]model.Kind{false: model.QuorumLost, true: model.QuorumGained}[ok], from)
			by(!ok)
		}
	}
	load.Settle()
	st := load.Stats(begun, time.Now())
	t.Logf("the quorum was lost and gained %d times in %s: %s, machine late by %s at most; by %v", *quorumTurns, time.Since(begun).Round(time.Millisecond), st, lab.Seconds(load.Late()), st.By)
	for _, r := range load.Results(begun, time.Now()) {
		// Where the machine had no time for the client, it may have had none for the others.
		if r.Failure != "" && (r.Failure != lab.TimedOut || load.Late() < lab.RequestTimeout/4) {
			t.Errorf("%s after %s: %v", r.Failure, r.Start.Sub(begun).Round(time.Millisecond), r.Err)
		}
	}
}

// Spare servers serve once those of the tier before them have died, and no longer than until
// they are back.
func TestSpareTierServes(t *testing.T) {
	t.Parallel()
	c := startThree(t, func(node string) string {
		return threeServers(node, "TCP_CHECK {\n connect_timeout 1\n }", "", "", "service TCP 192.168.25.100 80 {\n spare_tier 1 192.168.25.33\n }")
	}, nil)
	c.waitFirstChecks()
	want := func(what string, shares map[string]int) {
		t.Helper()
		st := c.Requests(c.within(time.Minute), 60)
		for _, by := range []string{c.node01.Spec.Web, c.node02.Spec.Web, "node03 service"} {
			if st.By[by] != shares[by] {
				t.Errorf("%s: %v, %s; want %v", what, st.By, st.FailuresText(), shares)
				break
			}
		}
	}
	tier := func(from time.Time, state string) {
		t.Helper()
		_, err := c.node01.WaitFrom(c.within(30*time.Second), from, "spares "+state, func(e model.Event) bool {
			return e.Kind == model.SpareTierChanged && e.Detail("state") == state
		})
		c.must(err)
	}
	want("all are up", map[string]int{c.node01.Spec.Web: 30, c.node02.Spec.Web: 30})
	begun := time.Now()
	c.must(c.node02.StopWeb(c.within(5 * time.Second)))
	c.waitServer(c.node01, begun, c.node02, "down", 20*time.Second)
	want("one is down", map[string]int{c.node01.Spec.Web: 60})
	begun = time.Now()
	c.must(c.node01.StopWeb(c.within(5 * time.Second)))
	tier(begun, "serving")
	want("both are down", map[string]int{"node03 service": 60})
	begun = time.Now()
	c.must(c.node02.StartWeb(c.within(5 * time.Second)))
	tier(begun, "resting")
	want("one is back", map[string]int{c.node02.Spec.Web: 60})
	begun = time.Now()
	c.must(c.node01.StartWeb(c.within(5 * time.Second)))
	c.waitServer(c.node01, begun, c.node01, "up", 20*time.Second)
	want("both are back", map[string]int{c.node01.Spec.Web: 30, c.node02.Spec.Web: 30})
}
