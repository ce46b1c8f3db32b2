package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// userDifferences are the files of users that weir and keepalived 2.2.7 judge
// differently, each with its reason. A file of 0 is one that keepalived takes.
var userDifferences = map[string]string{
	"html-entities":     "keepalived takes an entity for a part of the program's name",
	"curly-quotes":      "keepalived takes quotes of printed text for a part of the program's name",
	"defines-itself":    "keepalived frees the value while it reads it",
	"comments-behind":   "keepalived does not look at what stands behind the value",
	"heads":             "keepalived crashes",
	"auth-hmac-dropped": "words of later versions",
	"checksum":          "words of later versions",
	"as-weir-does":      "words of later versions",
	"global":            "words of later versions",
	"notify-quotes":     "keepalived 2.2.7 takes a backslash away before it looks for quotes, 2.4.3 does not",
	"strict-unicast":    "words of later versions: 2.4.3 refuses it",
	"flags-off":         "keepalived does not look at what stands behind the keyword",
	"flags-words":       "keepalived does not look at what stands behind the keyword",
	"names-joined":      "keepalived looks for the name with what follows it",
	"templates":         "keepalived crashes",
	"service-flags":     "keepalived does not look at what stands behind the keyword",
}

// TestUserVerdicts holds weir called keepalived to the real one over what users write.
// That a script may not run without enable_script_security is no difference: it hangs on
// the programs of the machine.
func TestUserVerdicts(t *testing.T) {
	j := newJudge(t)
	for stem, text := range userFiles(t) {
		if stem == "stands-for-itself" {
			continue // keepalived comes to no end
		}
		path := filepath.Join(j.dir, "keepalived.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, said := j.verdict(t, path)
		got := configTest(t, "-t", "-f", path)
		if differs := got%exitSecurity != want%exitSecurity; differs != (userDifferences[stem] != "") {
			t.Errorf("%s: exit code %d, keepalived's %d:\n%s\nof\n%s", stem, got, want, said, text)
		}
	}
}

// userFiles are what users write, by name.
func userFiles(t *testing.T) map[string]string {
	t.Helper()
	archives, err := filepath.Glob("../../conf/testdata/users/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	files := map[string]string{}
	for _, archive := range archives {
		for part := range strings.SplitSeq(readText(t, archive), "\n-- ") {
			name, text, _ := strings.Cut(part, " --\n")
			if stem, isFile := strings.CutSuffix(name, ".conf"); isFile {
				files[stem] = text + "\n"
			}
		}
	}
	if len(files) < 80 {
		t.Errorf("%d files", len(files))
	}
	return files
}
