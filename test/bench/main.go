// Command bench runs weir's benchmarks and prints them as one table. Every
// variant takes its turn in every round, so that a machine whose speed drifts
// is fair to all; what is told is the minimum and the median of the rounds. It
// measures and gives no verdict.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// part is one benchmark binary.
type part struct {
	name, pkg, bench, title string
	packets                 int // a round
	rows                    []row
}

// parts are what can be measured, in the table's order. A bar is a ratio that
// weir means to keep.
var parts = []part{
	{"hits", "weir/internal/dataplane", "BenchmarkHits",
		"ns a packet, the thread's CPU time over BPF_PROG_TEST_RUN; the wrapper is in it", 300_000, []row{
			{name: "empty/xdp", what: "wrapper alone, XDP"},
			{name: "empty/tc", what: "wrapper alone, tc"},
			{name: "dr40/xdp", what: "floor: plainest direct routing"},
			{name: "pass/xdp", what: "not ours, XDP"},
			{name: "pass/tc", what: "not ours, tc"},
			{name: "hit/xdp", what: "established, XDP", of: "dr40/xdp", bar: 1.3},
			{name: "hit/tc", what: "established, tc", of: "hit/xdp", bar: 1.3},
			{name: "nat_in/xdp", what: "NAT to the server, XDP", of: "hit/xdp", bar: 1.25},
			{name: "nat_in/tc", what: "NAT to the server, tc", of: "hit/tc", bar: 1.25},
			{name: "nat_out/xdp", what: "NAT to the client, XDP", of: "hit/xdp", bar: 1.25},
			{name: "nat_out/tc", what: "NAT to the client, tc", of: "hit/tc", bar: 1.25},
			{name: "new_rr/xdp", what: "new connection, rr, XDP", of: "dr40/xdp"},
			{name: "new_rr/tc", what: "new connection, rr, tc", of: "dr40/xdp"},
			{name: "new_wrr/xdp", what: "new connection, wrr, XDP", of: "new_rr/xdp"},
			{name: "new_wrr/tc", what: "new connection, wrr, tc", of: "new_rr/tc"},
			{name: "new_wlc/xdp", what: "new connection, wlc, XDP", of: "new_rr/xdp"},
			{name: "new_wlc/tc", what: "new connection, wlc, tc", of: "new_rr/tc"},
		}},
	{"pps", "weir/test/bench/pps", "BenchmarkPPS",
		"ns a packet through namespaces, 60 bytes, 1,024 flows, one sending CPU", 400_000, []row{
			{name: "floor", what: "generator, dropped on arrival"},
			{name: "weir_native", what: "weir, native XDP, DR", of: "ip_forward", bar: 0.4},
			{name: "weir_tc", what: "weir, tc, DR", of: "ip_forward"},
			{name: "ip_forward", what: "kernel ip_forward, no balancing"},
		}},
}

func main() {
	rounds := flag.Int("rounds", 15, "rounds that count, after one to warm up")
	asJSON := flag.Bool("json", os.Getenv("JSON") == "1", "print JSON; also by JSON=1")
	flag.Parse()
	if err := bench(os.Stdout, flag.Arg(0), *rounds, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench measures the part of that name, or all.
func bench(out io.Writer, name string, rounds int, asJSON bool) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("it works with BPF and network namespaces: run it as root")
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var chosen []part
	for _, p := range parts {
		if name == p.name || name == "" || name == "all" {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no part %q: expected hits, pps or all", name)
	}
	report := report{Machine: machine(), Rounds: rounds}
	for _, p := range chosen {
		if err := p.measure(dir, rounds); err != nil {
			return err
		}
		report.Parts = append(report.Parts, p.result())
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.print(out)
}

// measure builds the part's benchmarks and runs them round by round.
func (p *part) measure(dir string, rounds int) error {
	binary := filepath.Join(dir, p.name+".test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, p.pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
	}
	for round := range rounds + 1 {
		progress("\r%s: round %d of %d ", p.name, round, rounds)
		out, err := exec.Command(binary, "-test.run", "^$", "-test.bench", p.bench,
			"-test.benchtime", fmt.Sprintf("%dx", p.packets)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, out)
		}
		if err := p.take(string(out), round > 0); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, err, out)
		}
	}
	progress("\r\033[K")
	return nil
}

// progress tells a person at a terminal how far it is.
func progress(format string, args ...any) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		fmt.Fprintf(os.Stderr, format, args...)
	}
}

func machine() string {
	var u unix.Utsname
	release := "unknown"
	if unix.Uname(&u) == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	cpu := "unknown CPU"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%s, %d CPUs, Linux %s", cpu, runtime.NumCPU(), release)
}
