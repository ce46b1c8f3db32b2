package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/test/cpu"
)

// restSize is a configuration of BenchmarkAtRest, with the most that is good enough of each
// figure; 0 is no bar.
type restSize struct {
	name              string
	services, servers int // real servers of each service
	checked           bool
	idle              float64 // per cent of a CPU
	memory            float64 // MB
	check, start      float64 // s
	reload            float64 // ms, of one weight
}

var restSizes = []restSize{
	{"2x2", 2, 2, false, 0.1, 0, 0, 0, 0},
	{"2000x20", 2000, 20, false, 1.5, 0, 0, 0, 0},
	{"2000x20-TCP_CHECK", 2000, 20, true, 0, 250, 0, 0, 0},
	{"10000x20", 10000, 20, false, 6, 900, 1.2, 5, 300},
}

// file is the configuration; one real server has this weight.
func (s restSize) file(weight int) string {
	var b strings.Builder
	check := ""
	if s.checked {
		check = "        TCP_CHECK {\n            connect_timeout 3\n        }\n"
	}
	if s.services > 4096 { // for which the tables have room without being told
		fmt.Fprintf(&b, "weir {\n    tables {\n        services %d\n        servers %d\n    }\n}\n", 2*s.services, 2*s.services*s.servers)
	}
	for v := range s.services {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n    delay_loop 60\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n", v/250, v%250)
		for r := range s.servers {
			w := 1
			if v == s.services/2 && r == s.servers/2 {
				w = weight
			}
			fmt.Fprintf(&b, "    real_server 172.%d.%d.%d 80 {\n        weight %d\n%s    }\n", 16+v/250, v%250, r+1, w, check)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// BenchmarkAtRest tells what weir takes while nothing happens, and how long check, start and a
// reload of one weight take, each with its bar beside it: a figure above that is a failure.
// The idle CPU and the memory do not hang on what else runs on the machine, the times do: what
// start and reload took of a CPU stands beside them.
func BenchmarkAtRest(b *testing.B) {
	for _, size := range restSizes {
		b.Run(size.name, func(b *testing.B) { atRest(b, size) })
	}
}

func atRest(b *testing.B, size restSize) {
	c, err := lab.NewCluster(lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"),
		Target:  netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes:   []lab.NodeSpec{{Name: "director", Addr: netip.MustParsePrefix("192.168.25.1/24"), Config: size.file(1)}},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("director").Namespace().AddRoute(netip.MustParsePrefix("172.16.0.0/12"), netip.MustParseAddr("192.168.25.10"))
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	begun := time.Now()
	if err := c.Start(ctx); err != nil {
		b.Fatal(err)
	}
	started, n := time.Since(begun), c.Node("director")
	pid := n.Weir().Pid()
	startCPU := cpu.Of(b, pid)
	begun = time.Now()
	if out, err := n.Exec(ctx, "check", n.ConfigFile()); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	checked := time.Since(begun)
	time.Sleep(15 * time.Second) // what follows the start
	const long = 30 * time.Second
	before := cpu.Of(b, pid)
	time.Sleep(long)
	idle := 100 * (cpu.Of(b, pid) - before).Seconds() / long.Seconds()
	memory := statusOf(b, pid, "VmRSS:")
	if err := os.WriteFile(n.ConfigFile(), []byte(size.file(2)), 0o644); err != nil {
		b.Fatal(err)
	}
	before = cpu.Of(b, pid)
	begun = time.Now()
	if out, err := n.Exec(ctx, "reload", "--run-dir", n.RunDir()); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	reloaded, reloadCPU := time.Since(begun), cpu.Of(b, pid)-before
	if _, err := n.WaitFrom(ctx, begun, "the reload", lab.IsKind(model.Reloaded)); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	figures := ""
	report := func(value, bar float64, unit string) {
		figures += fmt.Sprintf(" %.4g %s", value, unit)
		b.ReportMetric(value, unit)
		if bar > 0 {
			b.ReportMetric(bar, unit+"-bar")
		}
		if bar > 0 && value > bar {
			b.Errorf("%.4g %s, want at most %.4g", value, unit, bar)
		}
	}
	report(idle, size.idle, "%-idle")
	report(memory, size.memory, "MB")
	report(checked.Seconds(), size.check, "s-check")
	report(started.Seconds(), size.start, "s-start")
	report(milliseconds(reloaded), size.reload, "ms-reload")
	report(startCPU.Seconds(), 0, "s-start-cpu")
	report(milliseconds(reloadCPU), 0, "ms-reload-cpu")
	if b.Failed() { // then nothing else tells the figures
		b.Log(figures)
	}
}
