package conf

import (
	"bytes"
	"flag"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// TestBroken reads broken variants of the seed's file. Each archive holds
// keepalived.conf, what it includes, and want: the diagnostics as shown.
func TestBroken(t *testing.T) {
	archives, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archives) < 30 {
		t.Fatalf("found %d broken files, want at least 30", len(archives))
	}
	for _, name := range archives {
		t.Run(filepath.Base(name), func(t *testing.T) { checkBroken(t, name) })
	}
}

func checkBroken(t *testing.T, name string) {
	archive, texts := readArchive(t, name), memory{}
	want := archive.file("want")
	for _, f := range archive.files {
		texts[f.name] = f.text
	}
	delete(texts, "want")
	cfg, diags := parseMemory(texts, "keepalived.conf")
	if cfg != nil || !diags.HasErrors() {
		t.Errorf("got a Config and %d errors, want none and at least one", diags.Errors())
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
