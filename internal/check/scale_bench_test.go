package check_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/internal/check"
)

var scaleServer = flag.Bool("scale-server", false, "be what BenchmarkScale checks")

var scalePercent = flag.Int("scale-percent", 100, "how much of its checks BenchmarkScale makes")

// BenchmarkScale makes thousands of checks a second of servers on the loopback device of a
// namespace of its own, and tells how late they begin, beside timers that do nothing and
// run at the same time: what these are late by is the machine's.
func BenchmarkScale(b *testing.B) {
	if all, err := net.Interfaces(); err != nil || len(all) > 4 {
		b.Fatalf("it takes a network namespace of its own (make bench-checks): %d devices, %v", len(all), err)
	}
	if *scaleServer {
		serveScale(b)
		return
	}
	server := exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkScale$", "-scale-server")
	ready, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	for lines := bufio.NewScanner(ready); lines.Scan() && lines.Text() != scaleReady; {
	}
	for _, kind := range []struct {
		kind   conf.CheckKind
		second int
	}{{conf.CheckTCP, 6667}, {conf.CheckPing, 10000}} {
		second := kind.second * *scalePercent / 100
		b.Run(fmt.Sprintf("%s/%d", kind.kind, second), func(b *testing.B) {
			for b.Loop() {
				scale(b, kind.kind, second)
			}
		})
	}
}

// scaleReady is what the process says that is checked, once it can be.
const scaleReady = "the server of BenchmarkScale listens"

// serveScale accepts connections until the process is killed. It is a process of its own, so
// that what it takes of a CPU does not count for the checks.
func serveScale(b *testing.B) {
	l, err := net.Listen("tcp4", "0.0.0.0:80")
	if err != nil {
		b.Fatal(err)
	}
	fmt.Println(scaleReady)
	for {
		c, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close() // the check has reset it
	}
}

// cpuTime is how long this process has run on a CPU.
func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// scaleLoop is the time between two checks of a server.
const scaleLoop = 2 * time.Second

// mostPerCheck is how many microseconds of a CPU a TCP check may take.
const mostPerCheck = 45

func scale(b *testing.B, kind conf.CheckKind, second int) {
	n := second * int(scaleLoop/time.Second)
	var used time.Duration // of a CPU, while so many checks were made
	made := int64(0)
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
		if used == 0 && time.Since(began) > 2*scaleLoop { // all make their checks by then
			used, made = cpuTime(b), madeBy(checks)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			b.Fatal(err)
		}
		files, goroutines = max(files, len(open)), max(goroutines, runtime.NumGoroutine())
	}
	ended := time.Since(began)
	used, made = cpuTime(b)-used, madeBy(checks)-made
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
	each := float64(used.Microseconds()) / float64(made)
	b.ReportMetric(each, "µs-cpu/check")
	if kind == conf.CheckTCP && *scalePercent == 100 {
		b.ReportMetric(mostPerCheck, "µs-cpu/check-bar")
		if each > mostPerCheck {
			b.Errorf("%.1f µs of a CPU for a check, want at most %d", each, mostPerCheck)
		}
	}
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
	made  atomic.Int64
	began time.Time
	late  []time.Duration
}

func (l *lateness) begins() {
	now := time.Now()
	if !l.began.IsZero() {
		l.late = append(l.late, now.Sub(l.began)-scaleLoop)
	}
	l.began = now
	l.made.Add(1)
}

func (l *lateness) Check(ctx context.Context) (check.Weight, error) {
	l.begins()
	return l.Checker.Check(ctx)
}

// Connects is that of the check where it has one.
func (l *lateness) Connects() *check.TCP {
	connector, ok := l.Checker.(check.Connector)
	if !ok {
		return nil
	}
	l.begins()
	return connector.Connects()
}

// madeBy is how many checks have begun.
func madeBy(all []*lateness) (n int64) {
	for _, l := range all {
		n += l.made.Load()
	}
	return n
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
