package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/conf"
	"weir/conf/text"
	"weir/internal/netlnk/nstest"
	"weir/test/values"
)

var (
	dumpFiles = flag.Int("dump-files", 100, "how many files TestValues compares; make conf-diff has 5,000")
	dumpSeed  = flag.Uint64("dump-seed", 1, "the seed of the files that TestValues makes")
)

// dumper is the real keepalived in a namespace of its own, asked for what it has
// understood of a file.
type dumper struct {
	namespace *nstest.Namespace
	dir       string
}

func newDumper(t *testing.T, n int) *dumper {
	t.Helper()
	d := &dumper{namespace: nstest.New(t, fmt.Sprintf("dump%d", n)), dir: t.TempDir()}
	d.namespace.IP("link", "set", "lo", "up")
	for i, dev := range values.Devices {
		d.namespace.IP("link", "add", dev, "type", "veth", "peer", "name", dev+"p")
		d.namespace.IP("link", "set", dev+"p", "up")
		d.namespace.IP("link", "set", dev, "up")
		d.namespace.IP("addr", "add", fmt.Sprintf("198.51.100.%d/24", i+1), "dev", dev)
	}
	return d
}

// errNoDump says that keepalived did not come to show what it has understood.
var errNoDump = errors.New("no dump")

// dump is what keepalived shows of a file: the lines of its dump, and what it says of the
// file itself.
func (d *dumper) dump(ctx context.Context, path string) (lines, said []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	pids := []string{"-p", filepath.Join(d.dir, "p"), "-r", filepath.Join(d.dir, "r"), "-b", filepath.Join(d.dir, "b")}
	for i := 1; i < len(pids); i += 2 {
		os.Remove(pids[i])
	}
	args := append([]string{"netns", "exec", d.namespace.Name, "keepalived", "-n", "-l", "-d", "-P", "-i", "node01", "-f", path}, pids...)
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	stamp := regexp.MustCompile(`^\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}: `)
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		line := stamp.ReplaceAllString(scanner.Text(), "")
		switch {
		case strings.HasPrefix(line, "------< Interfaces"):
			return lines, said, nil
		case strings.Contains(line, "no configuration to run"), strings.HasPrefix(line, "Stopped"), strings.Contains(line, "SIGSEGV"):
			return lines, said, errNoDump
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "------<"):
			lines = append(lines, line)
		default:
			said = append(said, line)
		}
	}
	return lines, said, errNoDump
}

// valueTexts are the files that are compared: the corpus, those of users but for two that
// keepalived reads otherwise, and made ones.
func valueTexts(t *testing.T) (texts []string) {
	for _, path := range corpusFiles(t) {
		texts = append(texts, readText(t, path))
	}
	files := userFiles(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name != "stands-for-itself" && name != "names-joined" {
			texts = append(texts, files[name])
		}
	}
	rng := rand.New(rand.NewPCG(*dumpSeed, 2))
	if len(texts) > *dumpFiles/2 {
		rng.Shuffle(len(texts), func(i, k int) { texts[i], texts[k] = texts[k], texts[i] })
		texts = texts[:*dumpFiles/2]
	}
	for len(texts) < *dumpFiles {
		texts = append(texts, values.MakeVRRP(rng))
	}
	return texts
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestValues holds what weir has understood of a file to what the real keepalived has,
// value by value: of global_defs and of VRRP. Files that one of them refuses are compared
// by TestVerdicts.
func TestValues(t *testing.T) {
	texts := valueTexts(t)
	jobs := make(chan string, len(texts))
	for _, text := range texts {
		jobs <- text
	}
	close(jobs)
	var mu sync.Mutex
	var workers sync.WaitGroup
	compared, same, classes := 0, 0, map[string]int{}
	for n := range 4 {
		d := newDumper(t, n)
		workers.Go(func() {
			for text := range jobs {
				count, differences, why := d.compare(t, text)
				mu.Lock()
				if why == "" {
					compared++
				} else {
					classes["left out: "+why]++
				}
				same += count
				for _, one := range differences {
					class := values.Class(one)
					if classes[class]++; class == "" && classes[class] < 40 {
						t.Errorf("%s\nof (-dump-seed %d)\n%s", one, *dumpSeed, text)
					}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d of %d files compared, %d values are the same", compared, len(texts), same)
	for _, name := range slices.Sorted(keysOf(classes)) {
		t.Logf("%5d  %s", classes[name], name)
	}
	if compared < len(texts)/3 {
		t.Errorf("%d of %d files could be compared", compared, len(texts))
	}
}

func keysOf(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// compare reads a text with both. why says why it could not be
// compared.
func (d *dumper) compare(t *testing.T, text string) (same int, differences []string, why string) {
	path := filepath.Join(d.dir, "keepalived.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Error(err)
		return 0, nil, "it is not there"
	}
	cfg, diags := conf.Options{ID: "node01"}.Load(path)
	if cfg == nil {
		return 0, nil, "weir refuses it: " + firstError(diags)
	}
	lines, said, err := d.dump(t.Context(), path)
	if err != nil {
		return 0, nil, "keepalived shows nothing"
	}
	if i := slices.IndexFunc(said, func(s string) bool { return values.Newer.MatchString(s) }); i >= 0 {
		return 0, nil, "keepalived: " + values.Newer.FindString(said[i])
	}
	shown, err := values.Shown(cfg)
	if err != nil {
		t.Error(err)
		return 0, nil, "JSON"
	}
	same, differences = values.CompareVRRP(lines, shown)
	return same, differences, ""
}

// firstError is the message of the first error, without what is the file's own.
func firstError(diags text.Diagnostics) string {
	for _, d := range diags.All() {
		if d.Severity == text.Error {
			return regexp.MustCompile(`[\w.:/-]*\d[\w.:/-]*|"[^"]*"`).ReplaceAllString(d.Message, "N")
		}
	}
	return ""
}
