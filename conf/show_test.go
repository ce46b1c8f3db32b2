package conf

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var showSeed = flag.Uint64("show-seed", 1, "the seed of the files that TestShownMeansTheSame makes")

// meaning is all that a Config says, without the places.
func meaning(t *testing.T, cfg *Config) string {
	t.Helper()
	out, err := json.MarshalIndent(cfg, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func showOf(t *testing.T, cfg *Config, o ShowOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := cfg.Show(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantSameMeaning holds what Show writes of a file to the meaning of the file. It tells
// whether the file is right.
func wantSameMeaning(t *testing.T, files memory, name string) bool {
	t.Helper()
	options := Options{ID: "node01", Show: true}
	cfg, _ := newParser(files, options).parse(name, files[name])
	if cfg == nil {
		return false
	}
	want := meaning(t, cfg)
	for _, o := range []ShowOptions{{Secrets: true, NoDefaults: true}, {Secrets: true}} {
		text := showOf(t, cfg, o)
		again, diags := newParser(files, options).parse("shown.conf", text)
		if again == nil {
			t.Errorf("%s: with %+v weir refuses what it shows:\n%s\nof\n%s\nshown\n%s", name, o, rendered(t, diags, false), files[name], text)
			continue
		}
		if diff := cmp.Diff(want, meaning(t, again)); diff != "" {
			t.Errorf("%s: with %+v what is shown means something else (-file +shown):\n%s\nof\n%s\nshown\n%s", name, o, diff, files[name], text)
		}
		hidden, diags := newParser(files, options).parse("hidden.conf", showOf(t, cfg, ShowOptions{}))
		if hidden == nil {
			t.Errorf("%s: without secrets weir refuses what it shows:\n%s", name, rendered(t, diags, false))
		}
	}
	return true
}

// TestShownMeansTheSame reads what Show writes of every file that the tests have, and of
// files that are made of them.
func TestShownMeansTheSame(t *testing.T) {
	var texts []string
	right := 0
	count := func(files memory, name string) bool {
		ok := wantSameMeaning(t, files, name)
		if ok {
			right++
		}
		return ok
	}
	corpus, err := filepath.Glob("testdata/corpus/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(corpus, "../examples/seed/master.conf", "../examples/seed/backup.conf") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if count(memory{path: string(content)}, path) {
			texts = append(texts, string(content))
		}
	}
	archives, err := filepath.Glob("testdata/users/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(archives, "testdata/realistic.txtar") {
		files := memory{}
		for _, f := range readArchive(t, path).files {
			files[f.name] = f.text
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			text := files[name]
			if strings.HasSuffix(name, ".conf") && !strings.Contains(text, "_RANDOM") {
				if count(files, name) {
					texts = append(texts, text)
				}
			}
		}
	}
	rng := rand.New(rand.NewPCG(*showSeed, 0))
	for i := range *generatedFiles {
		if t.Failed() {
			break
		}
		text := mutateLines(rng, texts[rng.IntN(len(texts))])
		count(memory{"made.conf": text}, "made.conf")
		if t.Failed() {
			t.Logf("file %d of -show-seed %d", i, *showSeed)
		}
	}
	t.Logf("%d files are right", right)
	if right < 80 {
		t.Errorf("%d files are right", right)
	}
}

// mutateLines takes some lines of a text out, gives some twice, and puts some elsewhere.
func mutateLines(rng *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	for range 1 + rng.IntN(4) {
		n, m := rng.IntN(len(lines)), rng.IntN(len(lines))
		switch rng.IntN(4) {
		case 0:
			lines[n] = ""
		case 1:
			lines[n] += "\n" + lines[n]
		case 2:
			lines[n], lines[m] = lines[m], lines[n]
		case 3:
			if words := strings.Fields(lines[n]); len(words) > 1 {
				values := []string{"0", "1", "255", "7", "10.20.0.7", "eth0", "::1", "2.5", `"a b"`, `a\ b`}
				words[len(words)-1] = values[rng.IntN(len(values))]
				lines[n] = strings.Join(words, " ")
			}
		}
	}
	return strings.Join(lines, "\n")
}

// TestShowMarks shows what was given as given, and what is a default as that.
func TestShowMarks(t *testing.T) {
	const text = `vrrp_instance A {
    interface eth0
    virtual_router_id 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    unicast_src_ip 192.0.2.1
    unicast_peer {
        192.0.2.2
    }
    virtual_ipaddress {
        192.0.2.10/24 dev eth0
    }
    notify_master "/bin/true"
}
`
	cfg, diags := newParser(memory{}, Options{Show: true}).parse("f.conf", text)
	if cfg == nil {
		t.Fatal(diags.All())
	}
	got := map[string]bool{}
	for line := range strings.SplitSeq(showOf(t, cfg, ShowOptions{}), "\n") {
		got[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"auth_type PASS # f.conf:5", "auth_pass hidden # f.conf:6, not shown", "unicast_src_ip 192.0.2.1 # f.conf:8", "192.0.2.2 # f.conf:10",
		"192.0.2.10/24 dev eth0 # f.conf:13", `notify_master "/bin/true" # f.conf:15`, "advert_int 1 # default", "# nopreempt # off: default",
		"connections 1048576 # default", "router_id",
	} {
		if want != "router_id" && !got[want] {
			t.Errorf("lacks %q:\n%s", want, showOf(t, cfg, ShowOptions{}))
		}
	}
	if shown := showOf(t, cfg, ShowOptions{NoDefaults: true}); strings.Contains(shown, "default") || !strings.Contains(shown, "interface eth0") {
		t.Errorf("without defaults:\n%s", shown)
	}
	for secrets, password := range map[bool]string{false: "(not shown)", true: "1111"} {
		out, err := cfg.JSON(ShowOptions{Secrets: secrets})
		if err != nil {
			t.Fatal(err)
		}
		var value struct {
			Instances []struct {
				Auth struct {
					Password string            `json:"auth_pass"`
					Origins  map[string]string `json:"origins"`
				} `json:"authentication"`
				Origins map[string]string `json:"origins"`
			} `json:"vrrp_instance"`
		}
		if err := json.Unmarshal(out, &value); err != nil {
			t.Fatal(err)
		}
		v := value.Instances[0]
		if v.Auth.Password != password || v.Auth.Origins["auth_type"] != "f.conf:5" || v.Origins["unicast_peer"] != "f.conf:10" || v.Origins["notify_master"] != "f.conf:15" {
			t.Errorf("JSON says %s", fmt.Sprint(v))
		}
	}
}
