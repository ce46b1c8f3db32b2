package pcre

import (
	"strings"
	"testing"

	"weir/test/mutate"
)

// A match that never ends is given up.
func TestMatchIsBounded(t *testing.T) {
	for _, pattern := range []string{`^(a|aa|aab?)+$`, `(x+x+)+y`, `^(([a-z])+.)+[A-Z]([a-z])+$`} {
		re, err := Compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		text := []byte(strings.Repeat("a", 60) + strings.Repeat("x", 60) + "!")
		ok, err := re.Match(text, 0, Anywhere)
		if ok || err != nil && !strings.HasPrefix(err.Error(), "the regular expression asks too much: ") {
			t.Errorf("%s: %v, %v", pattern, ok, err)
		}
	}
}

// Where a match may begin.
func TestOffsets(t *testing.T) {
	for _, tt := range []struct {
		pattern    string
		from, last int
		want       bool
	}{
		{"o", 0, Anywhere, true},
		{"o", 5, Anywhere, false},
		{"o", 4, 4, true},
		{"o", 0, 3, false},
		{"o", 9, Anywhere, false},
		{"^h", 1, Anywhere, false},
		{"(?<=l)o", 4, 4, true}, // look-behind sees what stands before
		{`l\Ko`, 0, 3, false},
		{`l\Ko`, 0, 4, true},
	} {
		re, err := Compile(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := re.Match([]byte("hello"), tt.from, tt.last); got != tt.want || err != nil {
			t.Errorf("%s from %d, at %d at the latest: %v, %v, want %v", tt.pattern, tt.from, tt.last, got, err, tt.want)
		}
	}
}

// What weir cannot do is refused with its reason.
func TestRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		`a(?R)?b`:   `"a(?R)?b" is no regular expression that weir can use, at 3: recursion and (?R are not known to weir`,
		`(a)(?1)`:   `"(a)(?1)" is no regular expression that weir can use, at 5: recursion and (?1 are not known to weir`,
		`a(*SKIP)b`: `"a(*SKIP)b" is no regular expression that weir can use, at 3: verbs (*...) are not known to weir`,
		`(*CRLF)a`:  `"(*CRLF)a" is no regular expression that weir can use, at 0: (*CRLF) is not known to weir`,
		`a\`:        `"a\\" is no regular expression that weir can use, at 2: \ stands at the end`,
		`(a`:        `"(a" is no regular expression that weir can use, at 1: ( is not closed`,
	} {
		if _, err := Compile(pattern); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
	if _, err := Compile("a", "nonsense"); err == nil || err.Error() != `"nonsense" is no option of PCRE2` {
		t.Errorf("an unknown option: %v", err)
	}
}

// No pattern makes weir panic.
func FuzzCompile(f *testing.F) { mutate.Fuzz(f, compileSeeds(), checkCompile) }

func TestCompileMutations(t *testing.T) { mutate.Test(t, "FuzzCompile", compileSeeds(), checkCompile) }

func compileSeeds() (seeds mutate.Seeds) {
	for _, p := range patterns {
		seeds = append(seeds, []any{p.pattern, len(p.options)%2 == 1})
	}
	return seeds
}

func checkCompile(_ *testing.T, pattern string, utf bool) {
	var names []string
	if utf {
		names = []string{"utf"}
	}
	if re, err := Compile(pattern, names...); err == nil && len(pattern) < 50 {
		_, _ = re.Match([]byte("some text\nof two lines"), 1, 9)
	}
}
