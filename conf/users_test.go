package conf

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"weir/conf/text"
)

// TestUsers reads what users write: each archive of testdata/users holds files of one
// kind, NAME.conf with NAME.want. A wanted line is
//
//	LINE error WORDS             an error on this line, whose text holds the words
//	LINE warning CODE [WORDS]    a warning or a note of this kind
//	shows WORDS                  the Config has this value
//	writes LINE                  "weir show config" writes this line
//
// All errors and warnings have to be wanted; notes only may be. A file with lines for
// config ids is read for each of them, as "weir check" does it.
func TestUsers(t *testing.T) {
	archives, err := filepath.Glob("testdata/users/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		archive := readArchive(t, name)
		texts := memory{}
		for _, f := range archive.files {
			texts[f.name] = f.text
		}
		for file := range texts {
			if stem, ok := strings.CutSuffix(file, ".conf"); ok {
				t.Run(filepath.Base(name)+"/"+stem, func(t *testing.T) { wantUser(t, texts, file, texts[stem+".want"]) })
			}
		}
	}
}

// wantUser holds a file to what is wanted of it.
func wantUser(t *testing.T, texts memory, file, want string) {
	t.Helper()
	cfg, diags := parseEveryID(texts, file)
	missing, over := matchDiagnostics(want, diags.All())
	for _, line := range missing {
		t.Errorf("lacks: %s", line)
	}
	for _, d := range over {
		t.Errorf("not wanted: %d %s %s %s; %s", d.Line, d.Severity, d.Code, d.Message, d.Hint)
	}
	wantShown(t, cfg, want)
	if t.Failed() {
		t.Logf("%s\n%s", texts[file], rendered(t, diags, false))
	}
}

// wantShown holds what was understood of a file to the wanted lines about it.
func wantShown(t *testing.T, cfg *Config, want string) {
	t.Helper()
	var tree bytes.Buffer
	var written string
	if cfg != nil {
		if err := cfg.showTree(&tree); err != nil {
			t.Fatal(err)
		}
		written = showOf(t, cfg, ShowOptions{})
	}
	values, lines := map[string]int{}, map[string]int{}
	for line := range strings.SplitSeq(tree.String(), "\n") {
		if comment := strings.LastIndex(line, " # "); comment > 0 {
			line = line[:comment]
		}
		values[strings.Join(strings.Fields(line), " ")]++
	}
	for line := range strings.SplitSeq(written, "\n") {
		lines[strings.Join(strings.Fields(line), " ")]++
	}
	for line := range strings.SplitSeq(want, "\n") {
		if words, ok := strings.CutPrefix(line, "shows "); ok {
			if values[words]--; values[words] < 0 {
				t.Errorf("does not show %q:\n%s", words, tree.String())
			}
		}
		if words, ok := strings.CutPrefix(line, "writes "); ok {
			if lines[words]--; lines[words] < 0 {
				t.Errorf("does not write %q:\n%s", words, written)
			}
		}
	}
}

// parseEveryID reads the file called name for a host that no line is for, and for each
// config id that lines are for.
func parseEveryID(m memory, name string) (*Config, text.Diagnostics) {
	ids := []string{"node01"}
	var config *Config
	var read []text.Diagnostics
	for i := 0; i < len(ids); i++ {
		p := newParser(m, Options{ID: ids[i], Linter: TestLinter, Show: true})
		cfg, diags := p.parse(name, m[name])
		if read = append(read, diags); i == 0 {
			config = cfg
			ids = append(ids, p.run.IDs()...)
		}
	}
	return config, text.Merge(ids, read)
}

// matchDiagnostics are the wanted lines that no diagnostic is, and the errors and
// warnings that are not wanted.
func matchDiagnostics(want string, list []text.Diagnostic) (missing []string, over []text.Diagnostic) {
	used := make([]bool, len(list))
	for line := range strings.SplitSeq(want, "\n") {
		if line == "" || strings.HasPrefix(line, "shows ") || strings.HasPrefix(line, "writes ") {
			continue
		}
		found := false
		for i, d := range list {
			if found = !used[i] && isWanted(line, d); found {
				used[i] = true
				break
			}
		}
		if !found {
			missing = append(missing, line)
		}
	}
	for i, d := range list {
		if !used[i] && d.Severity != text.Note {
			over = append(over, d)
		}
	}
	return missing, over
}

func isWanted(line string, d text.Diagnostic) bool {
	number, rest, _ := strings.Cut(line, " ")
	severity, words, _ := strings.Cut(rest, " ")
	if severity == "warning" {
		code, more, _ := strings.Cut(words, " ")
		if d.Severity == text.Error || d.Code != code {
			return false
		}
		words = more
	} else if d.Severity != text.Error {
		return false
	}
	n, err := strconv.Atoi(number)
	all := d.Message + "; " + d.Hint + fmt.Sprint(d.Notes, d.IDs)
	return err == nil && n == d.Line && strings.Contains(all, words)
}
