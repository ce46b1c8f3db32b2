package conf

import (
	"bytes"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// The tests make files by chance, the same ones in every run unless another seed is given.
var (
	generatedFiles = flag.Int("generated", 1000, "how many files are made by chance")
	generatedSeed  = flag.Uint64("generated-seed", 1, "the seed of what is made by chance")
)

// TestBroken reads broken variants of the seed's file. Each archive holds
// keepalived.conf, what it includes, and want: the diagnostics as shown.
func TestBroken(t *testing.T) {
	checkArchives(t, "testdata/broken/*.txtar", 30, true)
}

// TestNoted reads files that are right, and of which weir has something to say.
func TestNoted(t *testing.T) {
	checkArchives(t, "testdata/noted/*.txtar", 3, false)
}

// TestMistakes reads texts with one mistake each, and wants one error, shown at
// its place.
func TestMistakes(t *testing.T) {
	const name = "testdata/mistakes.txtar"
	archive := readArchive(t, name)
	made := 0
	for i := range archive.files {
		text := archive.files[i]
		number, ok := strings.CutSuffix(text.name, ".conf")
		if !ok {
			continue
		}
		made++
		_, diags := parseMemory(memory{"test.conf": text.text}, "test.conf")
		var got bytes.Buffer
		if err := diags.Render(&got, false); err != nil {
			t.Fatal(err)
		}
		if diags.Errors() != 1 {
			t.Errorf("%s: %d errors, want 1:\n%s\n%s", text.name, diags.Errors(), text.text, got.String())
		}
		want := archive.file(number + ".want")
		if *update {
			want.text = got.String()
		}
		if diff := cmp.Diff(want.text, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text.name, diff)
		}
	}
	if *update {
		archive.write(t, name)
	}
	if made < 200 {
		t.Errorf("%d mistakes, want at least 200", made)
	}
}

func checkArchives(t *testing.T, pattern string, least int, broken bool) {
	archives, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(archives) < least {
		t.Fatalf("found %d files, want at least %d", len(archives), least)
	}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) { checkArchive(t, name, broken) })
	}
}

func checkArchive(t *testing.T, name string, broken bool) {
	archive, texts := readArchive(t, name), memory{}
	want := archive.file("want")
	for _, f := range archive.files {
		texts[f.name] = f.text
	}
	delete(texts, "want")
	cfg, diags := parseMemory(texts, "keepalived.conf")
	if (cfg == nil) != broken || diags.HasErrors() != broken {
		t.Errorf("got a Config: %v, and %d errors; want errors: %v", cfg != nil, diags.Errors(), broken)
	}
	var got bytes.Buffer
	if err := diags.Render(&got, false); err != nil {
		t.Fatal(err)
	}
	if *update {
		want.text = got.String()
		archive.write(t, name)
		return
	}
	if diff := cmp.Diff(want.text, got.String()); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}
