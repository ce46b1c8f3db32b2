package check_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
)

var scalePercent = flag.Int("scale-percent", 100, "how much of its checks BenchmarkScale makes")

// BenchmarkScale makes thousands of checks a second of servers on the loopback device of a
// namespace of its own, and tells how late they begin, beside timers that do nothing and
// run at the same time: what these are late by is the machine's.
func BenchmarkScale(b *testing.B) {
	if all, err := net.Interfaces(); err != nil || len(all) > 4 {
		b.Fatalf("it takes a network namespace of its own (make bench-checks): %d devices, %v", len(all), err)
	}
	l, err := net.Listen("tcp4", "0.0.0.0:80")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // the check has reset it
		}
	}()
	for _, kind := range []struct {
		kind   conf.CheckKind
		second int
	}{{conf.CheckTCP, 4000}, {conf.CheckPing, 10000}} {
		second := kind.second * *scalePercent / 100
		b.Run(fmt.Sprintf("%s/%d", kind.kind, second), func(b *testing.B) {
			for b.Loop() {
				scale(b, kind.kind, second)
			}
		})
	}
}

// scaleLoop is the time between two checks of a server.
const scaleLoop = 2 * time.Second

func scale(b *testing.B, kind conf.CheckKind, second int) {
	n := second * int(scaleLoop/time.Second)
	before, dropped := runtime.NumGoroutine(), backlogDrops(b)
	ctx, cancel := context.WithCancel(b.Context())
	crew := check.NewCrew(ctx)
	checks, timers := make([]*lateness, n), make([]*lateness, 1000)
	var wrong atomic.Int64
	for i := range checks {
		checks[i] = &lateness{Checker: scaleCheck(b, kind, fmt.Sprintf("127.%d.%d.%d 80", 1+i>>16, i>>8&255, i&255))}
	}
	began := time.Now()
	for i := range checks {
		target := checks[i].String()
		r := check.Runner{
			Checker: checks[i], Timing: check.Timing{DelayLoop: scaleLoop, Warmup: scaleLoop}, Log: slog.New(slog.DiscardHandler),
			Report:  func(v check.Verdict) { wrong.Add(1); b.Logf("%s: %v", target, v.Reason) },
			Trouble: func(own *check.OwnError) { wrong.Add(1); b.Logf("%s: %v", target, own) },
		}
		r.Start(crew)
	}
	for i := range timers {
		timers[i] = &lateness{Checker: nothing{}}
		r := check.Runner{Checker: timers[i], Timing: check.Timing{DelayLoop: scaleLoop, Warmup: scaleLoop}, Log: slog.New(slog.DiscardHandler)}
		r.Start(crew)
	}
	files, goroutines := 0, 0
	for ; time.Since(began) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			b.Fatal(err)
		}
		files, goroutines = max(files, len(open)), max(goroutines, runtime.NumGoroutine())
	}
	ended := time.Since(began)
	cancel()
	crew.Wait()
	if left := runtime.NumGoroutine() - before; left > 0 {
		time.Sleep(time.Second) // those that end
		if left = runtime.NumGoroutine() - before; left > 0 {
			b.Errorf("%d goroutines are left", left)
		}
	}
	if dropped = backlogDrops(b) - dropped; wrong.Load() > int64(2*dropped) { // a server goes, and comes back
		b.Errorf("%d verdicts of servers that have been up all the time", wrong.Load())
	}
	late, bare := together(checks), together(timers)
	b.ReportMetric(float64(len(late))/(ended-scaleLoop).Seconds(), "checks/s") // the first check of each is not counted
	b.ReportMetric(ms(late, 0.5), "ms-late-p50")
	b.ReportMetric(ms(late, 0.999), "ms-late-p99.9")
	b.ReportMetric(ms(bare, 0.999), "ms-bare-p99.9")
	b.ReportMetric(float64(dropped), "frames-dropped-by-the-machine")
	b.ReportMetric(float64(files), "files")
	b.ReportMetric(float64(goroutines), "goroutines")
	b.ReportMetric(0, "ns/op")
}

// backlogDrops is how many frames, those of the loopback device among them, the kernel has dropped
// since a CPU had too many to handle (net.core.netdev_max_backlog): on a busy machine it does.
func backlogDrops(b *testing.B) (all int) {
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var processed, dropped int
		if _, err := fmt.Sscanf(line, "%x %x", &processed, &dropped); err != nil {
			b.Fatalf("softnet_stat: %v", err)
		}
		all += dropped
	}
	return all
}

// nothing is a check that asks nobody.
type nothing struct{}

func (nothing) Check(context.Context) (check.Weight, error) { return check.Weight{}, nil }

func (nothing) String() string { return "nothing" }

// lateness notes how late each check begins after the one before.
type lateness struct {
	check.Checker
	ended time.Time
	late  []time.Duration
}

func (l *lateness) Check(ctx context.Context) (check.Weight, error) {
	if !l.ended.IsZero() {
		l.late = append(l.late, time.Since(l.ended)-scaleLoop)
	}
	w, err := l.Checker.Check(ctx)
	l.ended = time.Now()
	return w, err
}

func together(all []*lateness) (late []time.Duration) {
	for _, l := range all {
		late = append(late, l.late...)
	}
	slices.Sort(late)
	return late
}

func ms(late []time.Duration, quantile float64) float64 {
	return late[int(float64(len(late)-1)*quantile)].Seconds() * 1000
}

func scaleCheck(b *testing.B, kind conf.CheckKind, server string) check.Checker {
	cfg, diags := conf.Parse("k.conf", fmt.Appendf(nil, "virtual_server 192.0.2.1 80 {\nprotocol TCP\nlb_kind NAT\nreal_server %s {\n%s {\nconnect_timeout 5\n}\n}\n}\n", server, kind))
	if cfg == nil {
		b.Fatal(diags.All())
	}
	row, _ := check.RowOf(kind)
	return row.Poll(cfg.VirtualServers[0].RealServers[0].Checks[0], &check.Shared{})
}
