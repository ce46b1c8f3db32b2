package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// manyServers is the configuration of a director with 2,000 virtual servers of 20 real
// servers each, all behind a router; one real server has this weight.
func manyServers(weight int) string {
	var b strings.Builder
	for s := range 2000 {
		fmt.Fprintf(&b, "virtual_server 10.%d.%d.1 80 {\n    delay_loop 600\n    lb_algo wrr\n    lb_kind NAT\n    protocol TCP\n", s/250, s%250)
		for r := range 20 {
			w := 1
			if s == 1000 && r == 7 {
				w = weight
			}
			fmt.Fprintf(&b, "    real_server 172.%d.%d.%d 80 {\n        weight %d\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }\n", 16+s/250, s%250, r+1, w)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// BenchmarkScale runs "weir check" on 2,000 virtual servers with 40,000 real servers, starts
// weir with them, and changes one weight by a reload, then all weights, removes all services but
// one, and adds them again. It reports how long each command took,
// how much of the reload was not reading the file, and the most memory that the process had.
func BenchmarkScale(b *testing.B) {
	c, err := lab.NewCluster(lab.ClusterOptions{
		Options: lab.Options{Executable: executable},
		Client:  netip.MustParsePrefix("192.168.25.10/24"),
		Target:  netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes:   []lab.NodeSpec{{Name: "director", Addr: netip.MustParsePrefix("192.168.25.1/24"), Config: manyServers(1)}},
		Prepare: func(c *lab.Cluster) error {
			return c.Node("director").Namespace().AddRoute(netip.MustParsePrefix("172.16.0.0/12"), netip.MustParseAddr("192.168.25.10"))
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	begun := time.Now()
	if err := c.Start(ctx); err != nil {
		b.Fatal(err)
	}
	started := time.Since(begun)
	n := c.Node("director")
	begun = time.Now()
	if out, err := n.Exec(ctx, "check", n.ConfigFile()); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	checked := time.Since(begun)
	var took, applying []time.Duration
	for i := range 5 {
		if err := os.WriteFile(n.ConfigFile(), []byte(manyServers(2+i)), 0o644); err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if out, err := n.Exec(ctx, "reload", "--run-dir", n.RunDir()); err != nil || !strings.Contains(string(out), "1 change.") {
			b.Fatalf("%v\n%s", err, out)
		}
		took = append(took, time.Since(begun))
		e, err := n.WaitFrom(ctx, begun, "the reload", lab.IsKind(model.Reloaded))
		if err != nil {
			b.Fatal(err)
		}
		applying = append(applying, duration(b, e, "took")-duration(b, e, "of_it_reading"))
	}
	whole := func(text string) time.Duration {
		if err := os.WriteFile(n.ConfigFile(), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if out, err := n.Exec(ctx, "reload", "--run-dir", n.RunDir()); err != nil {
			b.Fatalf("%v\n%s", err, out[:min(len(out), 1000)])
		}
		return time.Since(begun)
	}
	all := manyServers(1)
	weights := whole(strings.ReplaceAll(all, "weight 1\n", "weight 3\n"))
	removed := whole(all[:strings.Index(all[1:], "virtual_server")+1])
	added := whole(all)
	memory := memoryOf(b, n.Weir().Pid())
	for _, figure := range []struct {
		name, unit string
		value      float64
	}{
		{"check", "s", checked.Seconds()},
		{"start", "s", started.Seconds()},
		{"reload", "ms", milliseconds(slices.Min(took))},
		{"applied", "ms", milliseconds(slices.Min(applying))},
		{"weights", "s", weights.Seconds()},
		{"remove", "s", removed.Seconds()},
		{"add", "s", added.Seconds()},
		{"memory", "MB", memory},
	} {
		b.Run(figure.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(figure.value, figure.unit)
		})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func duration(b *testing.B, e model.Event, name string) time.Duration {
	d, err := time.ParseDuration(e.Detail(name))
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// memoryOf is the largest resident memory that a process has had, in MB.
func memoryOf(b *testing.B, pid int) float64 { return statusOf(b, pid, "VmHWM:") }

// statusOf is a size that the kernel tells of a process, in MB.
func statusOf(b testing.TB, pid int, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatalf("the kernel does not say the %s of the process", name)
	return 0
}
