// Package mutate gives the body of each fuzz target the same mutations in every run of
// its tests, so that their verdict on a commit never depends on luck. `make fuzz` looks
// for inputs that nobody has thought of; what it finds is committed to the target's
// corpus, and is mutated from then on, too.
package mutate

import (
	"bytes"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	count = flag.Int("mutations", 1000, "how many mutations of its corpus each fuzz target's body is given")
	seed  = flag.Uint64("mutation-seed", 1, "the seed of these mutations")
)

// longest is the size in bytes to which a mutated text may grow.
const longest = 16 << 10

// Seeds are the inputs that a fuzz target begins with, each the arguments of one call:
// strings, bytes and bools.
type Seeds [][]any

// Of is the seeds of a target with one argument.
func Of[T any](inputs ...T) Seeds {
	var seeds Seeds
	for _, in := range inputs {
		seeds = append(seeds, []any{in})
	}
	return seeds
}

// Fuzz is the target itself, check its body.
func Fuzz(f *testing.F, seeds Seeds, check any) {
	for _, s := range seeds {
		f.Add(s...)
	}
	f.Fuzz(check)
}

// Fuzzing tells whether `go test -fuzz` looks for new inputs: only then time may be
// measured.
func Fuzzing() bool {
	f := flag.Lookup("test.fuzz")
	return f != nil && f.Value.String() != ""
}

// Test calls check, a func(*testing.T, arguments), with the mutations of a target's seeds
// and of its committed corpus. The first that check fails ends the test, which shows the
// file that has to be added to the corpus.
func Test(t *testing.T, target string, seeds Seeds, check any) {
	t.Helper()
	dir := filepath.Join("testdata", "fuzz", target)
	from := append(slices.Clone(seeds), committed(t, dir)...)
	m := newMutator(target, from)
	for range *count {
		input := m.next()
		ok := false
		func() {
			defer func() {
				if ok = !t.Failed() && ok; !ok {
					t.Logf("the input, for a file in %s:\n%s", dir, encode(input))
				}
			}()
			call(t, check, input)
			ok = true
		}()
		if !ok {
			return
		}
	}
}

func call(t *testing.T, check any, input []any) {
	in := []reflect.Value{reflect.ValueOf(t)}
	for _, a := range input {
		if b, ok := a.([]byte); ok { // which check may write to
			a = bytes.Clone(b)
		}
		in = append(in, reflect.ValueOf(a))
	}
	reflect.ValueOf(check).Call(in)
}

// mutator makes mutations by chance.
type mutator struct {
	rng  *rand.Rand
	from Seeds
	// texts are all strings and bytes of the seeds, to take pieces from.
	texts []string
}

func newMutator(target string, from Seeds) *mutator {
	h := fnv.New64a()
	h.Write([]byte(target))
	m := &mutator{rng: rand.New(rand.NewPCG(*seed, h.Sum64())), from: from}
	for _, input := range from {
		for _, a := range input {
			switch a := a.(type) {
			case string:
				m.texts = append(m.texts, a)
			case []byte:
				m.texts = append(m.texts, string(a))
			}
		}
	}
	return m
}

// next is one input, with one to eight changes.
func (m *mutator) next() []any {
	input := slices.Clone(m.from[m.rng.IntN(len(m.from))])
	for range 1 << m.rng.IntN(4) {
		i := m.rng.IntN(len(input))
		switch a := input[i].(type) {
		case string:
			input[i] = m.change(a)
		case []byte:
			input[i] = []byte(m.change(string(a)))
		case bool:
			input[i] = m.rng.IntN(2) == 0
		default:
			panic(fmt.Sprintf("package mutate knows no %T", a))
		}
	}
	return input
}

// change changes one piece of a text: some bytes, or whole lines.
func (m *mutator) change(text string) string {
	from, to := m.piece(text)
	switch m.rng.IntN(8) {
	case 0: // lost
		text = text[:from] + text[to:]
	case 1: // twice
		text = text[:to] + text[from:]
	case 2: // elsewhere
		rest := text[:from] + text[to:]
		at, _ := m.piece(rest)
		text = rest[:at] + text[from:to] + rest[at:]
	case 3, 4: // one of another text is put in, or in the place of it
		other := m.texts[m.rng.IntN(len(m.texts))]
		i, j := m.piece(other)
		text = text[:from] + other[i:j] + text[[]int{from, to}[m.rng.IntN(2)]:]
	case 5: // a byte of it is another
		if from < len(text) {
			text = text[:from] + string([]byte{byte(m.rng.IntN(256))}) + text[from+1:]
		}
	case 6: // a byte is put in
		text = text[:from] + string([]byte{byte(m.rng.IntN(256))}) + text[from:]
	case 7: // a byte that others of the texts have
		other := m.texts[m.rng.IntN(len(m.texts))]
		if n := len(other); n > 0 {
			text = text[:from] + other[m.rng.IntN(n):][:1] + text[from:]
		}
	}
	return text[:min(len(text), longest)]
}

// piece is a piece of a text: a few bytes of it, or, in a text of lines, a line.
func (m *mutator) piece(text string) (from, to int) {
	from = m.rng.IntN(len(text) + 1)
	if m.rng.IntN(2) == 0 || !strings.Contains(text, "\n") {
		return from, from + min(len(text)-from, m.rng.IntN(1<<m.rng.IntN(8)))
	}
	if i := strings.LastIndexByte(text[:from], '\n'); i >= 0 {
		from = i + 1
	} else {
		from = 0
	}
	if to = strings.IndexByte(text[from:], '\n'); to >= 0 {
		return from, from + to + 1
	}
	return from, len(text)
}

// committed is the corpus in a directory, in the form of Go's fuzzing: a line for the
// version, then one for each argument.
func committed(t *testing.T, dir string) Seeds {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds Seeds
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		input, err := decode(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		seeds = append(seeds, input)
	}
	return seeds
}

const version = "go test fuzz v1"

func decode(text string) (input []any, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != version {
		return nil, fmt.Errorf("the first line is %q, want %q", lines[0], version)
	}
	for _, line := range lines[1:] {
		kind, value, _ := strings.Cut(strings.TrimSuffix(line, ")"), "(")
		switch kind {
		case "bool":
			input = append(input, value == "true")
			continue
		case "string", "[]byte":
		default:
			return nil, fmt.Errorf("package mutate knows no %q", kind)
		}
		s, err := strconv.Unquote(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		if kind == "string" {
			input = append(input, s)
		} else {
			input = append(input, []byte(s))
		}
	}
	return input, nil
}

func encode(input []any) string {
	var b strings.Builder
	b.WriteString(version + "\n")
	for _, a := range input {
		if raw, ok := a.([]byte); ok {
			fmt.Fprintf(&b, "[]byte(%q)\n", raw)
		} else {
			fmt.Fprintf(&b, "%T(%#v)\n", a, a)
		}
	}
	return b.String()
}
