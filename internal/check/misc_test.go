package check_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/script"
)

// misc is MISC_CHECK of a shell script, as a configuration has it; VERDICT in the script is
// a file that the test writes. The whole folder is everybody's to read.
func misc(t *testing.T, text, words string) (c *check.Misc, verdict func(string)) {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := write(t, dir, "check", "#!/bin/sh\n"+strings.ReplaceAll(text, "VERDICT", filepath.Join(dir, "verdict"))+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	verdict = func(text string) {
		write(t, dir, "next", text)
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "verdict")); err != nil {
			t.Fatal(err)
		}
	}
	verdict("exit 0")
	return checkOf(t, conf.CheckMisc, "192.0.2.2 80", strings.ReplaceAll(words, "PROGRAM", path)).(*check.Misc), verdict
}

// A script that says up, down, up, and then does not end.
func TestMisc(t *testing.T) {
	p := newPair(t)
	c, verdict := misc(t, ". VERDICT", "misc_path PROGRAM\nmisc_timeout 1")
	w := p.watch(t, c)
	w.up()
	w.change(func() { verdict("exit 3") })
	w.down("exit code 3")
	w.change(func() { verdict("exit 0") })
	w.up()
	w.change(func() { verdict("kill -KILL $$") })
	w.down("ended by signal 9 (killed)")
	w.change(func() { verdict("exit 0") })
	w.up()
	w.change(func() { verdict("trap '' TERM; sleep 1000") })
	w.down("no end within 1s")
	w.change(func() { verdict("exit 0") })
	w.up()
}

// What the exit codes mean, and what the words of a file do.
func TestMiscWords(t *testing.T) {
	for _, tt := range []struct {
		name, text, words string
		weight            check.Weight
		want              string
	}{
		{"arguments", `[ "$#-$1-$2-$3" = "3-a b-c-d\"e" ]`, `misc_path "PROGRAM 'a b' c 'd\"e'"`, check.Weight{}, ""},
		{"user", `[ "$(id -u)-$(id -g)" = 65534-1 ]`, "misc_path PROGRAM\nuser nobody daemon", check.Weight{}, ""},
		{"user behind the path", `[ "$(id -u)-$(id -g)" = 65534-1 ]`, "misc_path PROGRAM nobody daemon", check.Weight{}, ""},
		{"code 2", "exit 2", "misc_path PROGRAM", check.Weight{}, "exit code 2"},
		{"code 0, dynamic", "exit 0", "misc_path PROGRAM\nmisc_dynamic", check.Weight{}, ""},
		{"code 1, dynamic", "exit 1", "misc_path PROGRAM\nmisc_dynamic", check.Weight{}, "exit code 1"},
		{"code 2, dynamic", "exit 2", "misc_path PROGRAM\nmisc_dynamic", check.Weight{Absolute: true}, ""},
		{"code 255, dynamic", "exit 255", "misc_path PROGRAM\nmisc_dynamic", check.Weight{Absolute: true, N: 253}, ""},
	} {
		c, _ := misc(t, tt.text, tt.words)
		weight, err := c.Check(t.Context())
		if got := fmt.Sprint(err); weight != tt.weight || got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s: %+v, %v, want %+v, %s", tt.name, weight, err, tt.weight, tt.want)
		}
	}
}

// What cannot be run says nothing about the server.
func TestMiscOwnTrouble(t *testing.T) {
	open, _ := misc(t, "exit 0", "misc_path PROGRAM")
	if err := os.Chmod(open.Line, 0o777); err != nil {
		t.Fatal(err)
	}
	open.Shared.Scripts.Store(&script.Rules{Security: true})
	stranger, _ := misc(t, "exit 0", "misc_path PROGRAM\nuser no_such")
	gone, _ := misc(t, "exit 0", "misc_path /no/such")
	for _, c := range []*check.Misc{open, stranger, gone} {
		_, err := c.Check(t.Context())
		if own := (*check.OwnError)(nil); !errors.As(err, &own) {
			t.Errorf("%s: %v, want this machine's own trouble", c, err)
		}
	}
}

// Runs begin delay_loop apart, however long they take.
func TestMiscPace(t *testing.T) {
	c, _ := misc(t, "sleep 0.2", "misc_path PROGRAM\nmisc_timeout 60")
	if _, err := c.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.Pace(true, check.Timing{}, time.Minute); got > time.Minute-200*time.Millisecond || got < 0 {
		t.Errorf("waits %v behind a run of 200ms, want less than 59.8s", got)
	}
	if got := c.Pace(true, check.Timing{}, 100*time.Millisecond); got != 0 {
		t.Errorf("waits %v behind a run that took longer, want 0", got)
	}
}
