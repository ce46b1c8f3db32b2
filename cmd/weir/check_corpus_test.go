package main

import (
	"bytes"
	"context"
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
	"testing"
	"time"

	"weir/conf"
	"weir/internal/netlnk/nstest"
)

var mutations = flag.Int("mutations", 150, "how many mutations of the corpus TestMutations tries; 5000 takes some minutes")

// judge is the real keepalived, in a namespace with the interfaces of the corpus.
type judge struct {
	namespace *nstest.Namespace
	dir       string
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	j := &judge{namespace: nstest.New(t, "judge"), dir: t.TempDir()}
	for _, dev := range []string{"eth0", "eth1", "eth2", "ens160"} {
		j.namespace.IP("link", "add", dev, "type", "veth", "peer", "name", dev+"p")
		j.namespace.IP("link", "set", dev, "up")
	}
	return j
}

// verdict is keepalived's exit code for a file, and what it said.
func (j *judge) verdict(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ip", "netns", "exec", j.namespace.Name, "keepalived", "-t", "-f", path).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run keepalived: %v", err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

// corpusFiles are the texts that both read.
func corpusFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../conf/testdata/corpus/*.conf")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files in the corpus: %v", len(files), err)
	}
	return append(files, "../../examples/seed/master.conf", "../../examples/seed/backup.conf")
}

// TestVerdicts holds weir called keepalived to the real one, file by file. The
// seed's two files are refused by both: with weir's own name they are only warned
// of.
func TestVerdicts(t *testing.T) {
	j := newJudge(t)
	for _, path := range corpusFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			abs, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			want, said := j.verdict(t, abs)
			got := configTest(t, "-t", "-f", abs)
			if wantRefused := strings.Contains(path, "seed"); got != want || (want == 5) != wantRefused {
				t.Errorf("exit code %d, keepalived's %d (expected to refuse: %v):\n%s", got, want, wantRefused, said)
			}
		})
	}
}

// TestShownVerdicts holds what weir shows of a file, without defaults, to the verdict of the
// real keepalived over the file itself.
func TestShownVerdicts(t *testing.T) {
	j := newJudge(t)
	for _, path := range corpusFiles(t) {
		abs, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		cfg, diags := conf.Options{ID: "node01", Show: true}.Load(abs)
		if cfg == nil {
			t.Fatal(diags.All())
		}
		var shown bytes.Buffer
		if err := cfg.Show(&shown, conf.ShowOptions{Secrets: true, NoDefaults: true}); err != nil {
			t.Fatal(err)
		}
		written := filepath.Join(j.dir, "shown.conf")
		if err := os.WriteFile(written, shown.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		want, _ := j.verdict(t, abs)
		if got, said := j.verdict(t, written); got != want {
			t.Errorf("%s: keepalived's exit code is %d, and %d for what weir shows:\n%s\nof\n%s", path, want, got, said, shown.String())
		}
	}
}

// difference is a class of texts that keepalived and weir judge differently: by
// what one of them says. docs/differences.md explains them.
type difference struct {
	name string
	// keepalived and weir match what they say; an empty one matches nothing said.
	keepalived, weir string
}

// differences are the classes, as triaged. The first that fits counts.
var differences = []difference{
	{"keepalived crashes, or gives up at a missing word", `^(exit (-1|1|2|139))`, ``},
	{"weir reads words that keepalived ignores", `^exit 0`, `too much|takes no value|is neither|lacks its|opens no block|unknown word|is no bytes`},
	{"weir wants what a block needs", `^exit 0`, `has no |is not closed|has no keyword|stray|stands outside any|is missing`},
	{"weir holds numbers and names to what they are for", `^exit 0`, `out of range|is not a|cannot be|is given twice|is not of the|unknown|too long|there is no|is not defined|without its|is no |is above`},
	{"weir knows where a keyword belongs", `^exit 0`, `misplaced|unknown keyword`},
	{"keepalived looks at the machine", `doesn't exist|not found|Unable to|No such|Invalid smtp server|uid/gid|Couldn't|Cannot find|No user specified`, ``},
	{"keepalived wants a keyword only once", `already specified|[Dd]uplicate`, ``},
	{"keepalived refuses words that weir takes, with a remark or none", `SYNC group|trailing nonsense|[Uu]nknown keyword|invalid number|outside range|[Ii]nvalid|ignoring|resetting|skipping|setting`, ``},
}

func classOf(code int, said, weir string) string {
	said = fmt.Sprintf("exit %d\n%s", code, said)
	for _, d := range differences {
		if regexp.MustCompile(d.keepalived).MatchString(said) && (d.weir == "" || regexp.MustCompile(d.weir).MatchString(weir)) {
			return d.name
		}
	}
	return ""
}

// TestMutations breaks files of the corpus a little and compares the verdicts:
// each difference has to fall into a class that is known.
func TestMutations(t *testing.T) {
	j := newJudge(t)
	rng := rand.New(rand.NewPCG(6, uint64(*mutations)))
	var texts []string
	for _, path := range corpusFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	path := filepath.Join(j.dir, "mutated.conf")
	classes, agreed := map[string]int{}, 0
	for range *mutations {
		text := mutate(rng, texts[rng.IntN(len(texts))])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		code, said := j.verdict(t, path)
		_, diags := conf.Load(path)
		// 6 says nothing of the text: it is for scripts that are not secured.
		if code == 6 || (code != 0) == diags.Refused() {
			agreed++
			continue
		}
		var shown strings.Builder
		diags.Render(&shown, false)
		class := classOf(code, said, shown.String())
		if classes[class]++; class == "" {
			t.Errorf("a difference of no known class: keepalived %d\n%s\nweir:\n%s\ntext:\n%s", code, said, shown.String(), text)
		}
	}
	t.Logf("%d mutations: the same verdict for %d", *mutations, agreed)
	for _, d := range differences {
		t.Logf("%5d  %s", classes[d.name], d.name)
	}
	if agreed < *mutations*3/4 {
		t.Errorf("the verdicts agree for %d of %d mutations only", agreed, *mutations)
	}
}

// mutate changes one or two things of a text.
func mutate(rng *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	for range 1 + rng.IntN(2) {
		n := rng.IntN(len(lines))
		words := strings.Fields(lines[n])
		switch rng.IntN(8) {
		case 0:
			lines = slices.Delete(lines, n, n+1)
		case 1:
			lines = slices.Insert(lines, n, lines[n])
		case 2:
			m := rng.IntN(len(lines))
			lines[n], lines[m] = lines[m], lines[n]
		case 3:
			if len(words) > 1 {
				lines[n] = strings.Join(words[:len(words)-1], " ")
			}
		case 4:
			lines[n] += " quux"
		case 5:
			if len(words) > 1 {
				values := []string{"0", "-1", "99999", "x", "10.20.0.7", "eth0", "::1", "", "on", "1.5"}
				words[1+rng.IntN(len(words)-1)] = values[rng.IntN(len(values))]
				lines[n] = strings.Join(words, " ")
			}
		case 6:
			if len(words) > 0 && len(words[0]) > 2 {
				i := 1 + rng.IntN(len(words[0])-1)
				words[0] = words[0][:i-1] + words[0][i:]
				lines[n] = strings.Join(words, " ")
			}
		case 7:
			lines[n] = strings.NewReplacer("{", "", "}", "").Replace(lines[n])
		}
		if len(lines) == 0 {
			return ""
		}
	}
	return strings.Join(lines, "\n")
}
