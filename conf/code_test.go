package conf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every diagnostic has a code for programs: those of the corpus, of files of users and of
// broken ones.
func TestEveryDiagnosticHasACode(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"testdata/*.txtar", "testdata/*/*.conf", "testdata/*/*.txtar", "testdata/fuzz/*/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		paths = append(paths, found...)
	}
	seen := map[string]int{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq("\n"+string(content), "\n-- ") {
			_, diags := parseMemory(memory{"main": part}, "main")
			out, err := json.Marshal(diags.All())
			if err != nil {
				t.Fatal(err)
			}
			var all []struct{ Severity, Code, Message string }
			if err := json.Unmarshal(out, &all); err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				seen[d.Code]++
				if d.Code == "" {
					t.Errorf("%s: %s without a code: %s", path, d.Severity, d.Message)
				}
			}
		}
	}
	for _, code := range []string{"syntax", "unknown-keyword", "missing", "duplicate", "invalid"} {
		if seen[code] == 0 {
			t.Errorf("no diagnostic has the code %s: %v", code, seen)
		}
	}
}
