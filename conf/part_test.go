package conf

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/conf/text"
	"weir/test/mutate"
)

// tables are made once: that takes longer than to read a short text.
var tables = sync.OnceValue(keepalived)

// readMemory reads the file called name, by parts or as one.
func readMemory(m memory, name string, whole bool) (*Config, text.Diagnostics) {
	p := newParser(m, Options{ID: "node01", Linter: TestLinter})
	if p.language = tables(); whole {
		p.run, p.parts = p.run.Whole(), nil
	}
	return p.parse(name, m[name])
}

// shownOf is a Config with the places of its values, and the diagnostics.
func shownOf(t *testing.T, cfg *Config, diags text.Diagnostics) string {
	t.Helper()
	var b bytes.Buffer
	if err := diags.Render(&b, false); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d files\n", diags.Files())
	if cfg != nil {
		if err := cfg.showTree(&b); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// wantSame holds the reading by parts, and by a Loader that has read before, to the
// reading of the whole.
func wantSame(t *testing.T, before string, m memory, name string) {
	t.Helper()
	if strings.Contains(m[name]+before, "_RANDOM") {
		return
	}
	cfg, diags := readMemory(m, name, true)
	want := shownOf(t, cfg, diags)
	got, also := readMemory(m, name, false)
	if diff := cmp.Diff(want, shownOf(t, got, also)); diff != "" {
		t.Errorf("by parts (-whole +parts):\n%s\nof\n%s", diff, m[name])
	}
	l := &Loader{language: tables()}
	l.load(memory{name: before}, Options{ID: "node01", Linter: TestLinter}, name)
	again, after := l.load(m, Options{ID: "node01", Linter: TestLinter}, name)
	if diff := cmp.Diff(rendered(t, diags, false), rendered(t, after, false)); diff != "" {
		t.Errorf("diagnostics after another text (-whole +loader):\n%s\nof\n%s\nafter\n%s", diff, m[name], before)
	}
	if diff := cmp.Diff(cfg, again, comparers...); diff != "" {
		t.Errorf("Config after another text (-whole +loader):\n%s\nof\n%s\nafter\n%s", diff, m[name], before)
	}
}

// Every file of the tests means the same by parts: right ones, and broken ones.
func TestPartsOfCorpus(t *testing.T) {
	for _, pattern := range []string{"testdata/*/*.txtar", "testdata/mistakes.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			texts := memory{}
			for _, f := range readArchive(t, name).files {
				texts[f.name] = f.text
			}
			for file, text := range texts {
				if strings.HasSuffix(file, ".conf") {
					wantSame(t, text, texts, file)
				}
			}
		}
	}
	files, err := filepath.Glob("testdata/corpus/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := text.Disk{}.Read(file, true)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, text, memory{"main": text}, "main")
		wantSame(t, text, memory{"main": text + text}, "main")
	}
}

const (
	service1 = "virtual_server 10.0.0.1 80 {\n    protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    hashed\n    quorum 2\n    real_server 10.1.0.1 80 {\n        weight 3\n    }\n}\n"
	service2 = "virtual_server 10.0.0.2 80\n{\n    protocol TCP\n    lb_algo rr\n    lb_kind DR\n    real_server 10.1.0.1 81 {\n        weight 1\n        weight 2\n        lthreshold 2\n uthreshold 3\n    }\n}\n"
	service3 = "virtual_server 10.0.0.3 80 {\n    # nothing\n}   # its end\n"
)

// partTexts are texts around parts.
var partTexts = []string{
	service1 + service2 + service3,
	service1 + "\n" + service1,                       // twice
	"global_defs {\n" + service1 + "}\n" + service2,  // inside a block
	"global_defs {\n" + service1,                     // behind one that is open
	service1 + "}\n" + service2,                      // a brace too many
	"$A=1\n" + service1 + "x $A\\\n" + service2,      // a line that goes on
	"$A=x\\\n" + service1,                            // a definition that goes on
	"include more\n" + service1,                      // and in another file
	"include more\nglobal_defs {\ninclude more\n}\n", // misplaced there
	"vrrp_instance V\n" + service1,                   // its brace is missing
	"@node01 " + service1 + "@other " + service2,     // for some only
	"virtual_server_group g {\n10.0.0.9 80\n}\n" + strings.Replace(service1, "10.0.0.1 80", "group g", 1),
	strings.Replace(service1, "weight", "weigth", 1) + service2,
	strings.ReplaceAll(service1+service2, "\n", "\r\n"),
	"weir {\nsilence quorum-hysteresis\nservice TCP 10.0.0.2 80 {\nsloppy_tcp 1\n}\n}\n" + service1 + service2,
	"vrrp_instance V {\ninterface e0\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n" + service2 + service1,
	"\ufeff" + service1 + strings.TrimSuffix(service2, "\n"),
	"\ufeff" + service1 + strings.TrimSuffix(service2, "\n") + "   # its end\n" + service1, // with more on its last line
	service2 + service1 + service3, // in another order
	service1 + service3,            // without one
	strings.Replace(service1, "    hashed", longComment+"    hashed", 1) + service2, // a long line in a part
	service1 + longComment + service2,                                               // and between parts
}

// longComment is a line that keepalived cannot read.
var longComment = "    # " + strings.Repeat("x", 1100) + "\n"

func TestParts(t *testing.T) {
	for _, text := range partTexts {
		for _, before := range partTexts {
			wantSame(t, before, memory{"main": text, "more": service3 + service1}, "main")
		}
	}
}

// FuzzParts reads a text after another.
func FuzzParts(f *testing.F) { mutate.Fuzz(f, partSeeds(f), checkParts) }

func TestPartsMutations(t *testing.T) { mutate.Test(t, "FuzzParts", partSeeds(t), checkParts) }

func partSeeds(t testing.TB) mutate.Seeds {
	seeds := mutate.Seeds{{seedText(t), seedText(t)}}
	for i, text := range partTexts {
		seeds = append(seeds, []any{text, partTexts[(i+1)%len(partTexts)]})
	}
	return seeds
}

func checkParts(t *testing.T, before, text string) {
	wantSame(t, before, memory{"main": text, "more": service3 + service1}, "main")
}

// A Loader does not read again what has stayed, wherever that stands now, and keeps
// nothing of what has gone.
func TestLoaderKeeps(t *testing.T) {
	l := &Loader{}
	l.load(memory{"main": service1 + service3}, Options{}, "main")
	before := l.kept.byText[service1]
	text := strings.Replace(service3, "10.0.0.3", "10.0.0.4", 1)
	cfg, diags := l.load(memory{"main": "\n" + text + service1}, Options{}, "main")
	if cfg == nil || before == nil || l.kept.byText[service1] != before || len(l.kept.byText) != 2 || l.kept.byText[service3] != nil {
		t.Fatalf("it keeps %d parts, %v", len(l.kept.byText), diags.All())
	}
	if want := "main:9:5: note"; !strings.Contains(rendered(t, diags, false), want) {
		t.Errorf("want a remark at %s:\n%s", want, rendered(t, diags, false))
	}
	l.load(memory{"main": text + "}"}, Options{}, "main")
	if l.kept.byText[service1] != before {
		t.Error("a text with a mistake has it forget the last one that was right")
	}
}

// A virtual server stays as it was where its text and what the rest of the file says of it do,
// wherever it stands.
func TestStaysAs(t *testing.T) {
	const one = "virtual_server 192.0.2.1 80 {\n    protocol TCP\n    delay_loop 6\n    real_server 198.51.100.1 80 {\n    }\n}\n"
	const other = "virtual_server 192.0.2.2 80 {\n    protocol TCP\n    delay_loop 6\n    real_server 198.51.100.1 80 {\n    }\n}\n"
	for _, tt := range []struct {
		name, now string
		stays     bool
	}{
		{"the same file", one + other, true},
		{"on other lines", "global_defs {\n    router_id a\n}\n" + other + one, true},
		{"another text", strings.ReplaceAll(one, "loop 6", "loop 7") + other, false},
		{"only blanks differ", strings.ReplaceAll(one, "loop 6", "loop  6") + other, false}, // it has been read again
		{"mails for all", "global_defs {\n    smtp_alert\n}\n" + one + other, false},
		{"a rule for all", "weir {\n    sloppy_tcp 1\n}\n" + one + other, false},
		{"the weir block says more of it", "weir {\n    service TCP 192.0.2.1 80 {\n        slow_start 10\n    }\n}\n" + one + other, false},
		{"in a group", "virtual_server_group G {\n    192.0.2.1 80\n}\n" + strings.ReplaceAll(one, "192.0.2.1 80", "group G"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &Loader{language: tables()}
			was, _ := l.load(memory{"a.conf": one + other}, Options{}, "a.conf")
			now, diags := l.load(memory{"a.conf": tt.now}, Options{}, "a.conf")
			if now == nil {
				t.Fatal(diags.All())
			}
			for i := range now.VirtualServers {
				v, first := &now.VirtualServers[i], &was.VirtualServers[0]
				if v.Keys[0] == first.Keys[0] && v.StaysAs(first) != tt.stays {
					t.Errorf("StaysAs is not %t", tt.stays)
				}
				if v.Keys[0] != first.Keys[0] && v.StaysAs(first) {
					t.Errorf("%s stays as another virtual server", v.Keys[0])
				}
			}
		})
	}
}
