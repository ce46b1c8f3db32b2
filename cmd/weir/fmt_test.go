package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFmt(t *testing.T) {
	const untidy, tidy = "a{\nb  1\n}\n", "a {\n    b 1\n}\n"
	dir := t.TempDir()
	path := filepath.Join(dir, "a.conf")
	link := filepath.Join(dir, "link.conf")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file  string
		args        []string
		fails       bool
		want, after string
	}{
		{"print", untidy, []string{path}, false, tidy, untidy},
		{"standard input", "", []string{"-"}, false, tidy, ""},
		{"write", untidy, []string{"-w", path}, false, "", tidy},
		{"write what a link points to", untidy, []string{"-w", link}, false, "", tidy},
		{"differ", untidy, []string{"-d", path}, true, "-a{\n-b  1\n+a {\n+    b 1\n }\n", untidy},
		{"no difference", tidy, []string{"-d", path}, false, "", tidy},
		{"braces that do not fit", "a {\n", []string{"-w", path}, true, "", "a {\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.file), 0o640); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			cmd := rootCommand()
			cmd.SetIn(strings.NewReader(untidy))
			cmd.SetOut(&out)
			cmd.SetErr(&errs)
			cmd.SetArgs(append([]string{"fmt"}, tt.args...))
			err := cmd.Execute()
			if (err != nil) != tt.fails || tt.fails && !errors.Is(err, errSilent) {
				t.Errorf("got the error %v, fails: %v", err, tt.fails)
			}
			if !strings.Contains(out.String(), tt.want) || tt.want == "" && out.Len() > 0 {
				t.Errorf("output %q, want %q", out.String(), tt.want)
			}
			after, err := os.ReadFile(path)
			if info, e := os.Stat(path); err != nil || string(after) != tt.after || e != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the file holds %q, want %q, with its mode kept (%v)", after, tt.after, info.Mode())
			}
		})
	}
}
