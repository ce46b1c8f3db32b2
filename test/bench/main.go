// Command bench runs weir's benchmarks and prints them as one table. Every
// variant takes its turn in every round, so that a machine whose speed drifts
// is fair to all; what is told is the minimum of the rounds. It measures and gives no
// verdict.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	rounds := flag.Int("rounds", 15, "rounds that count, after one to warm up")
	asJSON := flag.Bool("json", os.Getenv("JSON") == "1", "print JSON; also by JSON=1")
	against := flag.String("against", "", "a commit: measure its build as well, in the same rounds, and compare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := bench(ctx, os.Stdout, flag.Args(), *rounds, *asJSON, *against); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// printer is a finished measurement: plain data for JSON, or a table.
type printer interface{ print(io.Writer) error }

// bench measures the parts of these names, or all; where a commit is given, beside
// that commit's build. It returns early with an error when ctx is cancelled, and
// removes everything that it made.
func bench(ctx context.Context, out io.Writer, names []string, rounds int, asJSON bool, against string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("it works with BPF and network namespaces: run it as root")
	}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	this, err := thisTree(ctx)
	if err != nil {
		return err
	}
	var p printer
	if against == "" {
		p, err = table(ctx, this, dir, chosen, rounds)
	} else {
		p, err = compare(ctx, this, dir, chosen, rounds, against)
	}
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(p)
	}
	return p.print(out)
}

// table measures this build alone.
func table(ctx context.Context, this tree, dir string, chosen []part, rounds int) (*report, error) {
	r := &report{Machine: machine(), Rounds: rounds}
	for _, p := range chosen {
		all, err := p.measure(ctx, this, dir, rounds)
		if err != nil {
			return nil, err
		}
		r.Parts = append(r.Parts, p.result(all))
	}
	return r, nil
}

// choose finds the parts of these names; none are all.
func choose(names []string) ([]part, error) {
	if len(names) == 0 {
		return parts, nil
	}
	var chosen []part
	for _, name := range names {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			var known []string
			for _, p := range parts {
				known = append(known, p.name)
			}
			return nil, fmt.Errorf("no part %q: expected some of %s, or none for all", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}

// measure builds the part's benchmarks and runs them round by round.
func (p *part) measure(ctx context.Context, this tree, dir string, rounds int) (figures, error) {
	if p.guest {
		return p.inGuest(ctx, this)
	}
	b, err := this.build(ctx, p, dir)
	if err != nil {
		return nil, err
	}
	all, err := p.interleave(ctx, []*binary{b}, rounds)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// interleave runs one part's benchmarks of several builds: in every round each build
// has its turn, and the next round begins with another build. It returns the figures
// of each build.
func (p *part) interleave(ctx context.Context, builds []*binary, rounds int) ([]figures, error) {
	all := make([]figures, len(builds))
	for i := range all {
		all[i] = figures{}
	}
	for round := range rounds + 1 {
		progress("\r%s: round %d of %d ", p.name, round, rounds)
		for turn := range builds {
			i := (round + turn) % len(builds)
			into := all[i]
			if round == 0 && rounds > 0 {
				into = figures{}
			}
			if err := p.round(ctx, builds[i], into); err != nil {
				return nil, err
			}
		}
	}
	progress("\r\033[K")
	return all, nil
}

// round runs each of the part's benchmarks of one build once.
func (p *part) round(ctx context.Context, b *binary, into figures) error {
	c := exec.CommandContext(ctx, b.path, "-test.run", "^$", "-test.bench", p.pattern(),
		"-test.benchtime", fmt.Sprintf("%dx", p.packets))
	c.Dir = b.dir
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted")
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w\n%s", p.name, b.tree, err, out)
	}
	take := p.take
	if b.other {
		take = p.takeKnown
	}
	if err := take(string(out), into); err != nil {
		return fmt.Errorf("%s of %s: %w\n%s", p.name, b.tree, err, out)
	}
	return nil
}

// guestLimit is how many seconds a guest may take.
const guestLimit = 1800

// inGuest runs the part's benchmarks once in the guest of test/vm.
func (p *part) inGuest(ctx context.Context, this tree) (figures, error) {
	dir := filepath.Join(this.root, "build/guest")
	b, err := this.build(ctx, p, dir)
	if err == nil && p.weir {
		err = this.buildWeir(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	path, err := filepath.Rel(this.root, b.path)
	if err != nil {
		return nil, err
	}
	progress("\r%s: in the guest ", p.name)
	out, err := exec.CommandContext(ctx, filepath.Join(this.root, "test/vm/run"), "-e", "-t", fmt.Sprint(guestLimit), this.root,
		path+" -test.run '^$' -test.bench '"+p.pattern()+"' -test.benchtime 1x").CombinedOutput()
	progress("\r\033[K")
	all := figures{}
	if err == nil {
		err = p.take(string(out), all)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", p.name, err, out)
	}
	if strings.Contains(string(out), "cpu: QEMU TCG") {
		p.title += ";\nits CPU is emulated, for want of KVM: that distorts, even the ratios"
	}
	return all, nil
}

// pattern names the part's benchmarks to `go test`.
func (p *part) pattern() string {
	pattern := "^" + p.bench + "$"
	if p.columns[0].name == "" {
		return pattern
	}
	var names []string
	for _, c := range p.columns {
		names = append(names, c.name)
	}
	return pattern + "/^(" + strings.Join(names, "|") + ")$"
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
