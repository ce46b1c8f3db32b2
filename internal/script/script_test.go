package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSplit(t *testing.T) {
	for command, want := range map[string][]string{
		"":                            nil,
		"/bin/true":                   {"/bin/true"},
		"  /bin/echo  a\tb ":          {"/bin/echo", "a", "b"},
		`/bin/echo "a b" 'c "d"'`:     {"/bin/echo", "a b", `c "d"`},
		`/bin/echo a\ b "c\"d" 'e\f'`: {"/bin/echo", "a b", `c"d`, `e\f`},
		`/bin/echo "" a"b c"d`:        {"/bin/echo", "", "ab cd"},
	} {
		if got := Split(command); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
}

// program makes a shell script.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(path); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestRun(t *testing.T) {
	for text, want := range map[string]Result{
		"exit 0":           {},
		"exit 7":           {Code: 7},
		"exit 255":         {Code: 255},
		"kill -USR1 $$":    {Code: -1, Signal: syscall.SIGUSR1},
		`[ "$1" = "a b" ]`: {},
		`[ -z "$IFS_" ] && [ -z "$LD_PRELOAD" ] && [ "$KEPT" = yes ]`: {},
	} {
		t.Setenv("LD_PRELOAD", "")
		t.Setenv("KEPT", "yes")
		got, err := Command{Words: []string{program(t, text), "a b"}}.Run(t.Context(), nil, time.Minute)
		if got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// The umask is the program's alone, and a link is followed unless it is to stay.
func TestRunRules(t *testing.T) {
	own := unix.Umask(0o022)
	defer unix.Umask(own)
	mask, none := uint32(0o027), uint32(0)
	path := program(t, `[ "$(umask) $0" = "$1" ]`)
	dir, other := filepath.Dir(path), t.TempDir()
	beside, apart, within := filepath.Join(dir, "beside"), filepath.Join(other, "apart"), filepath.Join(other, "folder")
	for link, to := range map[string]string{beside: "program", apart: path, within: dir} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, path string
		rules      *Rules
		want       string
	}{
		{"no rules", path, nil, "0022 " + path},
		{"a umask", path, &Rules{Umask: &mask}, "0027 " + path},
		{"a umask of nothing", path, &Rules{Umask: &none}, "0000 " + path},
		{"a link beside the program", beside, &Rules{}, "0022 " + beside},
		{"a link elsewhere", apart, &Rules{}, "0022 " + path},
		{"a link elsewhere that stays", apart, &Rules{Links: true}, "0022 " + apart},
		{"a folder that is a link", within + "/program", &Rules{}, "0022 " + path},
		{"one that stays", within + "/beside", &Rules{Links: true}, "0022 " + within + "/beside"},
	} {
		got, err := Command{Words: []string{tt.path, tt.want}, User: "root"}.Run(t.Context(), tt.rules, time.Minute)
		if got.Code != 0 || err != nil {
			t.Errorf("%s: %+v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	if now := unix.Umask(0o022); now != 0o022 {
		t.Errorf("this process's umask has become %#o", now)
	}
}

// A program whose time is over ends by SIGTERM, or else by SIGKILL, with all that it has
// started.
func TestRunEndsInTime(t *testing.T) {
	for name, tt := range map[string]struct {
		text   string
		signal syscall.Signal
		code   int
		least  time.Duration
	}{
		"SIGTERM":               {"sleep 1000 & echo $! >CHILD; sleep 1000", syscall.SIGTERM, -1, 0},
		"SIGKILL":               {"trap '' TERM; sleep 1000 & echo $! >CHILD; while :; do sleep 1000; done", syscall.SIGKILL, -1, Patience},
		"ends, and leaves more": {"trap 'exit 0' TERM; (trap '' TERM; exec sleep 1000) & echo $! >CHILD; wait", 0, 0, 0},
	} {
		child := filepath.Join(t.TempDir(), "child")
		begin := time.Now()
		got, err := Command{Words: []string{program(t, strings.Replace(tt.text, "CHILD", child, 1))}}.Run(t.Context(), nil, 300*time.Millisecond)
		if want := (Result{Code: tt.code, Signal: tt.signal, Late: true}); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
		if took := time.Since(begin); took < 300*time.Millisecond+tt.least {
			t.Errorf("%s: ended after %v", name, took)
		}
		wantGone(t, name, child)
	}
}

// wantGone waits until the process whose number a file has is gone.
func wantGone(t *testing.T, name, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatalf("%s: what the program has started goes on", name)
		}
	}
}

func TestRunCancelled(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if text, err := os.ReadFile(child); err == nil && strings.HasSuffix(string(text), "\n") {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	command := Command{Words: []string{program(t, "trap '' TERM; sleep 1000 & echo $! >"+child+"; wait; sleep 1000")}}
	if _, err := command.Run(ctx, nil, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	wantGone(t, "cancelled", child)
}

func TestRunAs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command Command
		rules   *Rules
		want    string
	}{
		{"a user", Command{User: "nobody"}, nil, "65534 65534 65534"},
		{"a user and a group", Command{User: "nobody", Group: "daemon"}, nil, "65534 1 1"},
		{"numbers", Command{User: "1", Group: "2"}, nil, "1 2 2"},
		{"script_user", Command{}, &Rules{User: "daemon"}, "1 1 1"},
		{"a user beside script_user", Command{User: "nobody"}, &Rules{User: "daemon", Group: "bin"}, "65534 65534 65534"},
		{"root", Command{User: "root"}, nil, "0 0 0"},
	} {
		tt.command.Words = []string{program(t, `[ "$(id -u) $(id -g) $(id -G)" = "$1" ]`), tt.want}
		if got, err := tt.command.Run(t.Context(), tt.rules, time.Minute); got.Code != 0 || err != nil {
			t.Errorf("%s: %+v, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

// What cannot, or must not be run.
func TestRunRefused(t *testing.T) {
	good := program(t, "exit 0")
	open, foreign, plain := program(t, "exit 0"), program(t, "exit 0"), program(t, "exit 0")
	inOpen := program(t, "exit 0")
	for _, err := range []error{
		os.Chmod(open, 0o777), os.Chown(foreign, 1, 1), os.Chmod(plain, 0o644), os.Chmod(filepath.Dir(inOpen), 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	secure := &Rules{Security: true}
	for _, tt := range []struct {
		name    string
		command Command
		rules   *Rules
		want    string
	}{
		{"nothing", Command{}, nil, "there is no program to run"},
		{"a relative path", Command{Words: []string{"true"}}, nil, "run true: expected an absolute path"},
		{"no such file", Command{Words: []string{"/no/such"}}, nil, "run /no/such: no such file or directory"},
		{"no program", Command{Words: []string{plain}}, nil, "run " + plain + ": it is no program"},
		{"a folder", Command{Words: []string{"/tmp"}}, nil, "run /tmp: it is no program"},
		{"no such user", Command{Words: []string{good}, User: "no_such"}, nil, "run as no_such: there is no such user"},
		{"no such group", Command{Words: []string{good}, User: "nobody", Group: "no_such"}, nil, "run as group no_such: there is no such group"},
		{"good, and secure", Command{Words: []string{good}}, secure, ""},
		{"open, and not secure", Command{Words: []string{open}}, nil, ""},
		{"open, as nobody", Command{Words: []string{open}, User: "nobody"}, secure, ""},
		{"open", Command{Words: []string{open}}, secure, "run " + open + " as root: " + open + " may be written by others than root"},
		{"foreign", Command{Words: []string{foreign}}, secure, "run " + foreign + " as root: " + foreign + " may be written by others than root"},
		{"in an open folder", Command{Words: []string{inOpen}}, secure, "run " + inOpen + " as root: " + filepath.Dir(inOpen) + " may be written by others than root"},
	} {
		_, err := tt.command.Run(t.Context(), tt.rules, time.Minute)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
