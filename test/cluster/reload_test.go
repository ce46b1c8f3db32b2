package cluster

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

var (
	reloads    = flag.Int("reloads", 10, "how many reloads TestReloadUnderLoad makes; 50 is the long form")
	reloadTime = flag.Duration("reload-time", 8*time.Second, "how long it takes; 60s is the long form")
	reloadRate = flag.Int("reload-rate", 300, "how many requests a second it makes; 2000 is the long form")
)

// wish is the content of a director's configuration file.
type wish struct {
	weights  [3]int // of node01's, node02's and node03's web server; -1 leaves it out
	second   bool   // a second VIP, 192.168.25.101, with a service
	priority int    // 0: the node's usual one
	// kind is NAT or TUN, whose servers are no directors: the first weights are node03's and
	// node04's then. Empty is direct routing.
	kind string
}

// file writes the configuration of a node for a wish. It sets conn_reuse_mode: with 2,000
// requests a second a client uses each port again after half a minute, and would then stay
// with its server, as in the kernel, even where that has weight 0 now, so that a server that
// is drained would get connections for ever.
func (w wish) file(node string) string {
	priority, state := 90, "BACKUP"
	if node == "node01" {
		priority, state = 100, "MASTER"
	}
	if w.priority != 0 {
		priority = w.priority
	}
	vips, services := "192.168.25.100", w.service("192.168.25.100 80")
	if w.second {
		vips += "\n        192.168.25.101"
		services += w.service("192.168.25.101 80")
	}
	return fmt.Sprintf(`weir {
    conn_reuse_mode 2
}
vrrp_instance VI_1 {
    state %s
    interface ens160
    virtual_router_id 51
    priority %d
    advert_int 1
    virtual_ipaddress {
        %s
    }
}
%s`, state, priority, vips, services)
}

func (w wish) service(key string) string {
	var b strings.Builder
	kind, first := w.kind, 33
	if kind == "" {
		kind, first = "DR", 31
	}
	fmt.Fprintf(&b, "virtual_server %s {\n    delay_loop 6\n    lb_algo wrr\n    lb_kind %s\n    protocol TCP\n", key, kind)
	for i, weight := range w.weights {
		if weight >= 0 {
			fmt.Fprintf(&b, "    real_server 192.168.25.%d 80 {\n        weight %d\n        TCP_CHECK {\n            retry 3\n        }\n    }\n", first+i, weight)
		}
	}
	return b.String() + "}\n"
}

// startWish builds two directors and a third web server.
func startWish(t *testing.T, w wish) *cluster {
	return start(t, func(o *lab.ClusterOptions) {
		for i := range o.Nodes {
			o.Nodes[i].Config = w.file(o.Nodes[i].Name)
		}
		o.Nodes = append(o.Nodes, lab.NodeSpec{
			Name: "node03", Addr: netip.MustParsePrefix("192.168.25.33/24"), Web: "node03 service",
			RealServer: []string{"start", "--vip", "192.168.25.100", "--vip", "192.168.25.101", "--state", filepath.Join(t.TempDir(), "realserver.json")},
		})
	})
}

// write writes the node's file for a wish; weir does not read it yet.
func (c *cluster) write(n *lab.Node, text string) {
	c.t.Helper()
	c.must(os.WriteFile(n.ConfigFile(), []byte(text), 0o644))
}

// weir runs a command of weir on a node, and returns its output and exit code.
func (c *cluster) weir(n *lab.Node, verb string, args ...string) (string, int) {
	c.t.Helper()
	out, err := n.Exec(c.within(20*time.Second), append([]string{verb, "--run-dir", n.RunDir()}, args...)...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if exit != nil {
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

// reload writes the files for a wish and reloads both directors, at the same time.
func (c *cluster) reload(w wish) {
	c.t.Helper()
	var both errgroup.Group
	for _, n := range []*lab.Node{c.node01, c.node02} {
		c.write(n, w.file(n.Spec.Name))
		both.Go(func() error {
			out, err := n.Exec(c.within(20*time.Second), "reload", "--run-dir", n.RunDir())
			if err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		})
	}
	c.must(both.Wait())
}

// A file with a mistake, and one that weir cannot carry out, changes nothing, by whichever
// way the reload is asked for; the mistake's place in the file is reported.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	good := wish{weights: [3]int{1, 2, -1}}
	c := startWish(t, good)
	for _, tt := range []struct{ name, text, want string }{
		{"a mistake", strings.Replace(good.file("node01"), "weight 2", "weigth 2", 1), `unknown keyword "weigth"`},
		{"a device that is not there", good.file("node01") + "weir {\n    device nosuch0 {\n    }\n}\n", `device "nosuch0"`},
		{"an interface that is not there", good.file("node01") + "vrrp_instance VI_2 {\n    interface nosuch0\n    virtual_router_id 52\n    priority 100\n    virtual_ipaddress {\n        192.168.25.102\n    }\n}\n", "nosuch0"},
	} {
		c.write(c.node01, tt.text)
		for _, verb := range []string{"plan", "reload"} {
			out, code := c.weir(c.node01, verb)
			if code != 1 || !strings.Contains(out, tt.want) {
				t.Errorf("%s: weir %s: exit code %d, want 1 and %q:\n%s", tt.name, verb, code, tt.want, out)
			}
		}
		mark := time.Now()
		c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
		_, err := c.node01.WaitFrom(c.within(5*time.Second), mark, "the refusal", lab.IsKind(model.ReloadRefused))
		c.must(err)
	}
	if out, code := c.weir(c.node01, "plan"); code != 1 || !strings.Contains(out, "nosuch0") {
		t.Errorf("the last one once more: exit code %d:\n%s", code, out)
	}
	c.wantSplit(100, 200)
	c.write(c.node01, good.file("node01"))
	if out, code := c.weir(c.node01, "plan"); code != 0 {
		t.Errorf("the file that runs is said to change something: exit code %d\n%s", code, out)
	}
	if v, err := c.node01.View(); err != nil || v.State != model.Master {
		t.Errorf("node01 is %q, %v, want master as before", v.State, err)
	}
}

// A reload does what "weir plan" has shown: weights, servers, services and VIPs are changed,
// added and removed, and the instances keep their states.
func TestReload(t *testing.T) {
	t.Parallel()
	first := wish{weights: [3]int{1, 2, -1}}
	c := startWish(t, first)
	second := wish{weights: [3]int{2, 1, 1}, second: true}
	c.write(c.node01, second.file("node01"))
	out, code := c.weir(c.node01, "plan")
	for _, want := range []string{
		"~ TCP 192.168.25.100:80\n", "weight 1 -> 2", "weight 2 -> 1", "connections stay",
		"+ 192.168.25.33:80", "+ TCP 192.168.25.101:80", "virtual_ipaddress", "No live connection is touched.",
	} {
		if !strings.Contains(out, want) || code != 2 {
			t.Errorf("plan: exit code %d, want 2 and %q:\n%s", code, want, out)
		}
	}
	c.wantSplit(100, 200) // the plan has changed nothing
	begun := time.Now()
	c.reload(second)
	st := c.Requests(c.within(60*time.Second), 400)
	c.wantNear(st, 200, 100, 100)
	c.wantVIP("192.168.25.101/32", true)
	if st := lab.Requests(c.within(20*time.Second), c.Client(), "192.168.25.101:80", 40); st.Failures() > 0 {
		t.Errorf("the second VIP: %s", st)
	}
	c.reload(first)
	c.wantNear(c.Requests(c.within(60*time.Second), 300), 100, 200, 0)
	c.wantVIP("192.168.25.101/32", false)
	for _, n := range []*lab.Node{c.node01, c.node02} {
		events, err := n.Happened(c.within(5*time.Second), begun)
		c.must(err)
		for _, e := range events {
			if e.Kind == model.VRRPState || e.Level >= slog.LevelError {
				t.Errorf("%s said: %s", n.Spec.Name, lab.Line(e))
			}
		}
	}
	// A priority takes effect at once.
	begun = time.Now()
	c.write(c.node01, wish{weights: first.weights, priority: 50}.file("node01"))
	c.must(syscall.Kill(c.node01.Weir().Pid(), syscall.SIGHUP))
	c.waitState(c.node02, begun, "master", 5*time.Second)
	c.waitState(c.node01, begun, "backup", 5*time.Second)
	c.waitHeard(c.node02) // until then both answer, and open connections may be reset
	c.wantNear(c.Requests(c.within(60*time.Second), 300), 100, 200, 0)
}

// wantNear expects these shares, with a tolerance of the turns of one cycle: the scheduler
// goes on in the middle of the cycle in which the weights were changed.
func (c *cluster) wantNear(st lab.Stats, want ...int) {
	c.t.Helper()
	for i, n := range want {
		name := fmt.Sprintf("node0%d service", i+1)
		if got := st.By[name]; got < n-3 || got > n+3 {
			c.t.Errorf("%s answered %d, want %d, by one cycle", name, got, n)
		}
	}
	if st.Failures() > 0 {
		c.t.Errorf("%s", st)
	}
}

// wantVIP expects that node01 has an address on its device, or that it has not.
func (c *cluster) wantVIP(prefix string, want bool) {
	c.t.Helper()
	addrs, err := c.node01.Namespace().Addrs("ens160")
	c.must(err)
	if slices.Contains(addrs, netip.MustParsePrefix(prefix)) != want {
		c.t.Errorf("node01 has %v on ens160; %s there: want %v", addrs, prefix, want)
	}
}

// Requests and open streams go on while the directors reload one file after the other:
// weights change, and servers, services and VIPs are added and removed. The other services
// are not disturbed: no request fails and no stream breaks. A server gets weight 0 before it
// is removed, as an administrator drains it.
func TestReloadUnderLoad(t *testing.T) {
	w := wish{weights: [3]int{1, 2, -1}}
	c := startWish(t, w)
	streams, stop := c.openStreams(20)
	load := c.Stream(t.Context(), *reloadRate)
	defer load.Stop()
	begun := time.Now()
	pause := *reloadTime / time.Duration(*reloads)
	third := []int{1, 3, 0, -1}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for i := range *reloads {
		w = wish{weights: [3]int{1 + i%3, 1 + (i+1)%4, third[i%4]}, second: i%5 < 3}
		c.reload(w)
		<-tick.C
	}
	load.Settle()
	stop()
	for range cap(streams) {
		if err := <-streams; err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
	st := load.Stats(begun, time.Now())
	t.Logf("%d reloads of each director in %s: %s, machine late by %s at most; median %s, 99 %% %s, most %s; by %v",
		*reloads, time.Since(begun).Round(time.Millisecond), st, lab.Seconds(load.Late()), st.Median, st.P99, st.Max, st.By)
	if st.Failures() > 0 {
		for _, r := range load.Results(begun, time.Now()) {
			if r.Failure != "" {
				t.Errorf("%s after %s: %v", r.Failure, r.Start.Sub(begun).Round(time.Millisecond), r.Err)
			}
		}
	}
	if st.By["node03 service"] == 0 {
		t.Error("the server that came and went answered nothing")
	}
}

// openStreams opens connections that make requests over the VIP again and again, until stop.
// Each sends the error with which it ended, once.
func (c *cluster) openStreams(n int) (ended chan error, stop context.CancelFunc) {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	ended = make(chan error, n)
	pause := max(20*time.Millisecond, time.Duration(n)*time.Second/streamRequests)
	for range n {
		conn := c.dial()
		c.t.Cleanup(func() { conn.Close() })
		c.must(conn.SetDeadline(time.Now().Add(*reloadTime + time.Minute)))
		go func() { ended <- askAgain(ctx, conn, pause) }()
	}
	return ended, stop
}

// streamRequests is how many requests a second all open streams make together at most: they are
// to show that none breaks, not how much the machine can do.
const streamRequests = 1000

// askAgain makes requests on one connection, with this pause after each, until ctx ends.
func askAgain(ctx context.Context, conn net.Conn, pause time.Duration) error {
	answers := bufio.NewReader(conn)
	for n := 0; ; n++ {
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: weir\r\n\r\n"); err != nil {
			return fmt.Errorf("request %d: %w", n, err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		if err != nil {
			return fmt.Errorf("answer %d: %w", n, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}
