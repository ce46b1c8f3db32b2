package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/lvs"
)

// ruled is a data plane's rules about clients.
type ruled struct{ live []lvs.AccessState }

func (r *ruled) AddRule(rule lvs.AccessRule, deny bool, d time.Duration) error {
	r.live = append(r.live, lvs.AccessState{AccessRule: rule, Deny: deny, Live: true})
	return nil
}
func (r *ruled) RemoveRule(lvs.AccessRule, bool) (bool, error) { return false, nil }
func (r *ruled) Rules() ([]lvs.AccessState, error)             { return r.live, nil }

// The live rules go from one process to the next. What is no file of theirs is told, and no rule
// is made of it; nothing that stands in its place is followed, waited for or lost.
func TestKeptRules(t *testing.T) {
	dir := t.TempDir()
	path, other := keptRules(dir), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(text string) func() error {
		return func() error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	for _, tt := range []struct {
		name string
		make func() error
		want string
	}{
		{"a link", func() error { return os.Symlink("other", path) }, "it is a link"},
		{"a pipe", func() error { return unix.Mkfifo(path, 0o600) }, "is not a regular file"},
		{"a folder", func() error { return os.Mkdir(path, 0o700) }, "is not a regular file"},
		{"cut off", write(`[{"Network":"192.0.2.0/24","De`), "unexpected end of JSON"},
		{"another shape", write(`{"rules": 1}`), "cannot unmarshal object"},
		{"no network", write(`[{"Network":"192.0.2.0/24","Deny":true},{}]`), "number 2 has no network"},
		{"another protocol", write(`[{"Network":"192.0.2.0/24","Protocol":1,"Deny":true}]`), "number 1 has no network, or neither TCP nor UDP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer os.Remove(path)
			if err := tt.make(); err != nil {
				t.Fatal(err)
			}
			var next ruled
			if err := restoreRules(&next, dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if len(next.live) > 0 {
				t.Errorf("rules were made of it: %+v", next.live)
			}
		})
	}
	had := ruled{[]lvs.AccessState{{AccessRule: lvs.AccessRule{Network: netip.MustParsePrefix("192.0.2.0/24"), Protocol: lvs.TCP, Port: 80}, Deny: true, Live: true}}}
	for _, beside := range []string{path, path + ".new"} {
		os.Remove(path)
		if err := os.Symlink("other", beside); err != nil {
			t.Fatal(err)
		}
		if err := keepRules(&had, dir); err != nil {
			t.Errorf("with a link at %s: %v", beside, err)
		}
		if text, err := os.ReadFile(other); err != nil || string(text) != "[]" {
			t.Errorf("the link at %s was followed: %q, %v", beside, text, err)
		}
	}
	var next ruled
	if err := restoreRules(&next, dir); err != nil || len(next.live) != 1 || next.live[0] != had.live[0] {
		t.Errorf("the next process has %+v, %v; want %+v", next.live, err, had.live)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}
