package conf

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/conf/text"
)

// panicking is a Linter, and files, that have a mistake of their own.
type panicking struct {
	memory
	when string
}

func (p panicking) Service(_ Say, v *VirtualServer) {
	if p.when == "service" {
		panic(v.Name)
	}
}

func (p panicking) Config(Say, *Config, Options) {
	if p.when == "config" {
		var none []int
		_ = none[len(p.when)]
	}
}

func (p panicking) Glob(pattern string) ([]string, error) {
	if p.when == "files" {
		panic(pattern)
	}
	return p.memory.Glob(pattern)
}

// TestPanicIsADiagnostic has each step of reading panic, and wants the file refused, with
// the place that was being read, by parts and as a whole.
func TestPanicIsADiagnostic(t *testing.T) {
	const file = "include x*\nglobal_defs {\nrouter_id a\nsmtp_alert\n}\n" + bareService + "real_server 10.0.0.2 80 {\n}\n}\n"
	for when, line := range map[string]int{"files": 1, "service": 6, "config": 6, "keyword": 3} {
		t.Run(when, func(t *testing.T) {
			own := panicking{memory{"main": strings.Repeat(file, 1), "x": "\n"}, when}
			p := newParser(own, Options{Linter: own})
			if when == "keyword" {
				e := p.language.root.lookup("global_defs").inner.lookup("router_id")
				e.read = func(*reader, *text.Statement, any) { panic("a mistake") }
			}
			cfg, diags := p.parse("main", own.memory["main"])
			all := diags.All()
			if cfg != nil || diags.Errors() != 1 || !strings.HasPrefix(all[0].Message, weirFailed) || all[0].Line != line {
				t.Fatalf("got a Config: %v, and\n%s", cfg != nil, rendered(t, diags, false))
			}
			if notes := fmt.Sprint(all[0].Notes); !strings.Contains(notes, "guard_test.go:") {
				t.Errorf("notes %s do not say where weir stopped", notes)
			}
		})
	}
}

// TestLoaderAfterPanic wants a Loader to go on with what it knows.
func TestLoaderAfterPanic(t *testing.T) {
	l := &Loader{Linter: panicking{when: "service"}}
	m := memory{"main": service1 + service2}
	if cfg, diags := l.load(m, Options{Linter: l.Linter}, "main"); cfg != nil || !diags.HasErrors() {
		t.Fatal("a panic of the linter passed")
	}
	if cfg, diags := l.load(m, Options{}, "main"); cfg == nil {
		t.Fatal(diags.All())
	}
}

// generated is a file of blocks whose keywords and values are taken by chance from the
// tables and from other files: most have mistakes, and each is read in every way.
func generated(random *rand.Rand, l *language, words []string) string {
	var b strings.Builder
	for range 1 + random.IntN(4) {
		generateBlock(&b, random, l.root, words, 0)
	}
	return b.String()
}

func generateBlock(b *strings.Builder, random *rand.Rand, s *blockSpec, words []string, depth int) {
	entries := s.entries
	if depth == 0 && random.IntN(3) > 0 {
		entries = []*entry{s.lookup("vrrp_instance"), s.lookup("virtual_server"), s.lookup("global_defs")}
	}
	if s.line != nil || len(entries) == 0 {
		for range random.IntN(4) {
			fmt.Fprintln(b, generateWords(random, words, 1+random.IntN(4)))
		}
		return
	}
	for range 1 + random.IntN(6) {
		e := entries[random.IntN(len(entries))]
		fmt.Fprint(b, e.name, " ", generateWords(random, words, random.IntN(4)))
		if e.inner != nil && depth < 5 {
			fmt.Fprintln(b, " {")
			generateBlock(b, random, e.inner, words, depth+1)
			fmt.Fprint(b, "}")
		}
		fmt.Fprintln(b)
	}
}

func generateWords(random *rand.Rand, words []string, n int) string {
	var line []string
	for range n {
		line = append(line, words[random.IntN(len(words))])
	}
	return strings.Join(line, " ")
}

// valuesOf are words that keywords take.
func valuesOf(l *language) []string {
	words := strings.Fields(`10.0.0.1 10.0.0.2 192.0.2.1/24 2001:db8::1 2001:db8::2/64 0 1 2 3 5 80 255 100 -1 65536 1.5 eth0 eth0
		on off TCP UDP NAT DR TUN rr wrr sh MASTER BACKUP PASS AH 2 3 group g fwmark inet inet6 dev label all type gre "a b" type ipip`)
	keywords := slices.Sorted(maps.Keys(l.homes))
	for i := 0; i < len(keywords); i += max(1, len(keywords)/60) {
		words = append(words, keywords[i])
	}
	return words
}

// TestGeneratedFilesPanicNowhere reads files made by chance. go test -run TestGenerated
// -generated N reads more of them.
func TestGeneratedFilesPanicNowhere(t *testing.T) {
	seed := *generatedSeed
	t.Logf("seed %d, %d files", seed, *generatedFiles)
	random := rand.New(rand.NewPCG(seed, 0))
	l := tables()
	words := valuesOf(l)
	for range *generatedFiles {
		file := generated(random, l, words)
		for _, whole := range []bool{true, false} {
			_, diags := readMemory(memory{"main": file}, "main", whole)
			for _, d := range diags.All() {
				if strings.HasPrefix(d.Message, weirFailed) || d.File == "" {
					t.Fatalf("%s: %v\n%s\nof\n%s", d.Message, d.Notes, rendered(t, diags, false), file)
				}
			}
		}
	}
}
