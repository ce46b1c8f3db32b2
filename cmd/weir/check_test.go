package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.conf", "global_defs {\n  router_id lb1\n}\n")
	bad := write("bad.conf", "global_defs {\n  roter_id lb1\n}\n")
	ids := write("ids.conf", "global_defs {\n@lb2 @^lb1     quux\n}\n")
	tests := []struct {
		name  string
		paths []string
		fails bool
		want  []string
	}{
		{"a clean file", []string{good}, false, []string{"good.conf: ok: 0 VRRP instances, 0 virtual servers, 0 real servers\n"}},
		{"warnings alone", []string{"../../examples/seed/master.conf"}, false, []string{"[obsolete]", "\n\n4 warnings"}},
		{"an error", []string{bad}, true, []string{`bad.conf:2:3: error: unknown keyword "roter_id" in global_defs`, "\n\n1 error in 1 file\n"}},
		{"several files", []string{good, bad, "../../examples/seed/backup.conf"}, true, []string{"good.conf: ok", "1 error, 4 warnings in 3 files\n"}},
		{"what is silenced", []string{"--silence", "obsolete", "../../examples/seed/master.conf"}, false, []string{"master.conf: ok: 1 VRRP instance, 1 virtual server, 2 real servers\n"}},
		{"two directors that agree", []string{"--silence=obsolete", "../../examples/seed/master.conf", "../../examples/seed/backup.conf"}, false, []string{"master.conf: ok", "backup.conf: ok"}},
		{"two directors that do not", []string{"--silence=obsolete", "../../examples/seed/master.conf", "../../examples/seed/master.conf"}, false, []string{"[pair-priority]", "\n\n2 warnings in 2 files\n"}},
		{"another host's lines", []string{"--config-id=lb2", ids}, true, []string{"ids.conf:2:16: error: unknown keyword"}},
		{"this host's lines", []string{"--config-id=lb1", ids}, false, []string{"ids.conf: ok"}},
		{"a missing file", []string{filepath.Join(dir, "gone.conf")}, true, []string{"gone.conf: error: cannot be read: no such file or directory\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			cmd := rootCommand()
			cmd.SetOut(&out)
			cmd.SetErr(&errs)
			cmd.SetArgs(append([]string{"check"}, tt.paths...))
			err := cmd.Execute()
			if (err != nil) != tt.fails || tt.fails && !errors.Is(err, errSilent) {
				t.Errorf("got the error %v, fails: %v", err, tt.fails)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
			if errs.Len() > 0 || strings.Contains(out.String(), "\x1b") {
				t.Errorf("said on stderr: %q; output: %q", errs.String(), out.String())
			}
		})
	}
}
