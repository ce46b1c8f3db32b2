package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
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
	"weir/internal/netlnk/nstest"
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

// dumpDevices are the interfaces that files may name.
var dumpDevices = []string{"eth0", "eth1", "eth2", "eth3", "ens160"}

func newDumper(t *testing.T, n int) *dumper {
	t.Helper()
	d := &dumper{namespace: nstest.New(t, fmt.Sprintf("dump%d", n)), dir: t.TempDir()}
	d.namespace.IP("link", "set", "lo", "up")
	for i, dev := range dumpDevices {
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

// dumped is a block of a dump: its values by label, and its lists by theirs.
type dumped struct {
	values map[string]string
	lists  map[string][]string
}

func newDumped() *dumped { return &dumped{map[string]string{}, map[string][]string{}} }

// understood are the blocks of a dump: the global one, and those of instances, scripts and
// groups by kind and name.
func understood(lines []string) (blocks map[string]*dumped) {
	global := newDumped()
	blocks = map[string]*dumped{"global": global}
	section, now, list := "", global, ""
	for _, line := range lines {
		text := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.HasPrefix(line, "------<") {
			section, list = strings.Trim(text, "-<> "), ""
			continue
		}
		label, value, valued := strings.Cut(text, " = ")
		if indent == 1 && section != "Global definitions" {
			now, list = newDumped(), ""
			blocks[label+" "+value] = now
			continue
		}
		own := 3
		if section == "Global definitions" {
			own = 1
		}
		switch {
		case indent > own && list != "":
			now.lists[list] = append(now.lists[list], text)
		case strings.HasSuffix(text, ":"):
			list = strings.TrimSpace(regexp.MustCompile(`( \(\d+\))? ?:$`).ReplaceAllString(text, ""))
			now.lists[list] = []string{}
		case valued:
			now.values[label], list = value, ""
		default:
			now.values[text], list = "", ""
		}
	}
	return blocks
}

// shownJSON is what "weir show config --json --secrets" prints.
func shownJSON(cfg *conf.Config) (map[string]any, error) {
	out, err := cfg.JSON(conf.ShowOptions{Secrets: true})
	if err != nil {
		return nil, err
	}
	var shown map[string]any
	if err := json.Unmarshal(out, &shown); err != nil {
		return nil, err
	}
	// keepalived shows the weight of a script where its user has none of its own.
	weights := map[any]any{}
	for _, s := range shown["vrrp_script"].([]any) {
		weights[s.(map[string]any)["vrrp_script"]] = s.(map[string]any)["weight"]
	}
	for _, v := range shown["vrrp_instance"].([]any) {
		list, _ := v.(map[string]any)["track_script"].([]any)
		for _, track := range list {
			if track := track.(map[string]any); track["has_weight"] != true && weights[track["name"]] != nil {
				track["weight"], track["has_weight"] = weights[track["name"]], true
			}
		}
	}
	return shown, nil
}

// compareValues lists where keepalived and weir have understood a file differently, and
// counts the values that they have understood in the same way.
func compareValues(blocks map[string]*dumped, shown map[string]any) (same int, differences []string) {
	compare := func(where string, rows []valueRow, d *dumped, v map[string]any) {
		for _, row := range rows {
			theirs, ours, compared := row.both(d, v)
			switch {
			case !compared:
			case theirs == ours:
				same++
			default:
				differences = append(differences, fmt.Sprintf("%s: %s: keepalived %q, weir %q", where, row.name(), theirs, ours))
			}
		}
	}
	compare("global_defs", globalRows, blocks["global"], shown["global_defs"].(map[string]any))
	for _, kind := range blockRows {
		for _, v := range shown[kind.keyword].([]any) {
			v := v.(map[string]any)
			name := kind.title + " " + fmt.Sprint(v[kind.keyword])
			d := blocks[name]
			if d == nil && kind.keyword == "vrrp_script" {
				continue // one that nothing uses
			}
			if d == nil {
				differences = append(differences, name+" is not there in keepalived")
				continue
			}
			compare(fmt.Sprint(kind.keyword, " ", v[kind.keyword]), kind.rows, d, v)
		}
	}
	return same, differences
}

// valueClasses are the differences that are known, by what both have: docs/differences.md
// tells why.
var valueClasses = []struct {
	name    string
	matches *regexp.Regexp
}{
	{"skip_check_adv_addr off is on in keepalived", regexp.MustCompile(`skip_check_adv_addr: keepalived "true", weir "false"`)},
	{"quotes and backslashes in values, of which weir warns", regexp.MustCompile(`(router_id|notification_email_from): keepalived "('|[^"]*\\)`)},
	{"half seconds in vrrp_script, which 2.2.7 does not know", regexp.MustCompile(`vrrp_script .*: interval: keepalived .*, weir "\d*\.\d+"`)},
}

func valueClass(difference string) string {
	for _, c := range valueClasses {
		if c.matches.MatchString(difference) {
			return c.name
		}
	}
	return ""
}

// valueTexts are the files that are compared: the corpus, those of users, and made ones.
func valueTexts(t *testing.T) (texts []string) {
	for _, path := range corpusFiles(t) {
		texts = append(texts, readText(t, path))
	}
	archives, err := filepath.Glob("../../conf/testdata/users/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, archive := range archives {
		for part := range strings.SplitSeq(readText(t, archive), "\n-- ") {
			name, text, _ := strings.Cut(part, " --\n")
			if strings.HasSuffix(name, ".conf") && name != "stands-for-itself.conf" {
				texts = append(texts, text+"\n")
			}
		}
	}
	rng := rand.New(rand.NewPCG(*dumpSeed, 2))
	if len(texts) > *dumpFiles/2 {
		rng.Shuffle(len(texts), func(i, k int) { texts[i], texts[k] = texts[k], texts[i] })
		texts = texts[:*dumpFiles/2]
	}
	for len(texts) < *dumpFiles {
		texts = append(texts, makeVRRP(rng))
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
					class := valueClass(one)
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
	cfg, _ := conf.Options{ID: "node01"}.Load(path)
	if cfg == nil {
		return 0, nil, "weir refuses it"
	}
	lines, said, err := d.dump(t.Context(), path)
	if err != nil {
		return 0, nil, "keepalived shows nothing"
	}
	if i := slices.IndexFunc(said, func(s string) bool { return newerWord.MatchString(s) }); i >= 0 {
		return 0, nil, "keepalived: " + newerWord.FindString(said[i])
	}
	shown, err := shownJSON(cfg)
	if err != nil {
		t.Error(err)
		return 0, nil, "JSON"
	}
	same, differences = compareValues(understood(lines), shown)
	return same, differences, ""
}

// newerWord is said of words that keepalived 2.2.7 does not know, and of files that it
// takes only a part of.
var newerWord = regexp.MustCompile(`[Uu]nknown keyword|Unexpected|[Uu]nmatched|SIGSEGV`)
