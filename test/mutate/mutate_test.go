package mutate

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Two runs get the same inputs, and these are no longer the seeds.
func TestSameMutations(t *testing.T) {
	seeds := Seeds{{"a\nb c\n", true, []byte("\x00\xff")}, {"", false, []byte{}}}
	one, other := newMutator("FuzzX", seeds), newMutator("FuzzX", seeds)
	another := newMutator("FuzzY", seeds)
	changed, differ := 0, 0
	for range 200 {
		a, b, c := one.next(), other.next(), another.next()
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("(-one run +another):\n%s", diff)
		}
		if !cmp.Equal(a, c) {
			differ++
		}
		if !cmp.Equal(a, seeds[0]) && !cmp.Equal(a, seeds[1]) {
			changed++
		}
	}
	if changed < 100 || differ < 100 {
		t.Errorf("of 200 inputs %d are mutations, and %d are another target's", changed, differ)
	}
	if diff := cmp.Diff(Seeds{{"a\nb c\n", true, []byte("\x00\xff")}, {"", false, []byte{}}}, seeds); diff != "" {
		t.Errorf("the seeds were changed (-want +got):\n%s", diff)
	}
}

// What is shown of an input that fails is a file of the corpus.
func TestEncoded(t *testing.T) {
	in := []any{"a \"b\"\n\x00é", []byte("\xff`'\""), true, false}
	out, err := decode(encode(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "go test fuzz v2\n", version + "\nint(1)\n", version + "\nstring(\"a)\n"} {
		if _, err := decode(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// Beside each fuzz target of the project stands a test that mutates its corpus.
func TestEachTargetIsMutated(t *testing.T) {
	root := filepath.Join("..", "..")
	targets := 0
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			targets++
			if !strings.Contains(string(text), `mutate.Test(t, "`+m[1]+`"`) {
				t.Errorf("%s: no test mutates the corpus of %s", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if targets < 9 {
		t.Errorf("%d fuzz targets were found, want at least 9", targets)
	}
}
