// Command bench runs weir's benchmarks and prints them as one table. Every
// variant takes its turn in every round, so that a machine whose speed drifts
// is fair to all; what is told is the minimum of the rounds. It measures and gives no
// verdict.
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
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	rounds := flag.Int("rounds", 15, "rounds that count, after one to warm up")
	asJSON := flag.Bool("json", os.Getenv("JSON") == "1", "print JSON; also by JSON=1")
	flag.Parse()
	if err := bench(os.Stdout, flag.Args(), *rounds, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench measures the parts of these names, or all.
func bench(out io.Writer, names []string, rounds int, asJSON bool) error {
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
	report := report{Machine: machine(), Rounds: rounds}
	for _, p := range chosen {
		all, err := p.measure(dir, rounds)
		if err != nil {
			return err
		}
		report.Parts = append(report.Parts, p.result(all))
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.print(out)
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
func (p *part) measure(dir string, rounds int) (figures, error) {
	if p.guest {
		return p.inGuest()
	}
	binary := filepath.Join(dir, filepath.Base(p.pkg)+".test")
	if err := p.build(binary); err != nil {
		return nil, err
	}
	all := figures{}
	for round := range rounds + 1 {
		progress("\r%s: round %d of %d ", p.name, round, rounds)
		into := all
		if round == 0 && rounds > 0 {
			into = figures{}
		}
		out, err := exec.Command(binary, "-test.run", "^$", "-test.bench", p.pattern(),
			"-test.benchtime", fmt.Sprintf("%dx", p.packets)).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", p.name, err, out)
		}
		if err := p.take(string(out), into); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", p.name, err, out)
		}
	}
	progress("\r\033[K")
	return all, nil
}

func (p *part) build(binary string) error {
	c := exec.Command("go", "test", "-c", "-o", binary, p.pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0") // it may be for another root folder
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
	}
	return nil
}

// guestLimit is how many seconds a guest may take.
const guestLimit = 300

// inGuest runs the part's benchmarks once in the guest of test/vm.
func (p *part) inGuest() (figures, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the project's folder: %w", err)
	}
	top, binary := strings.TrimSpace(string(root)), "build/guest/"+filepath.Base(p.pkg)+".test"
	if err := p.build(filepath.Join(top, binary)); err != nil {
		return nil, err
	}
	progress("\r%s: in the guest ", p.name)
	out, err := exec.Command(filepath.Join(top, "test/vm/run"), "-t", fmt.Sprint(guestLimit), top,
		binary+" -test.run '^$' -test.bench '"+p.pattern()+"' -test.benchtime 1x").CombinedOutput()
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
