package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/dataplane"
)

// A broken file starts nothing: no lock, no pins, no address.
func TestRunRefusesABrokenFile(t *testing.T) {
	dir := t.TempDir()
	file, runDir := filepath.Join(dir, "keepalived.conf"), filepath.Join(dir, "run")
	pinDir := filepath.Join("/sys/fs/bpf", filepath.Base(dir)+"-broken")
	if err := os.WriteFile(file, []byte("vrrp_instance VI_1 {\n    stat MASTER\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), runOptions{config: file, runDir: runDir, pinDir: pinDir, log: "text"})
	if !errors.Is(err, errSilent) {
		t.Errorf("got %v, want the error that the diagnostics have told", err)
	}
	for _, made := range []string{runDir, pinDir} {
		if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made (%v)", made, err)
		}
	}
}

// A second weir with the same run folder, the same pins or in the same network namespace is
// refused before it touches anything, and told who is there.
func TestRunRefusesASecondProcess(t *testing.T) {
	dir := t.TempDir()
	pins := filepath.Join("/sys/fs/bpf", "weirt-"+filepath.Base(dir))
	first, err := lockAll(runOptions{runDir: dir, pinDir: pins})
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf(": process %d (", os.Getpid())
	for _, tt := range []struct{ name, runDir, pinDir, want string }{
		{"run folder", dir, pins + "-x", "another weir runs with " + dir + me},
		{"network namespace", t.TempDir(), pins + "-x", "another weir runs in this network namespace" + me},
	} {
		_, err := lockAll(runOptions{runDir: tt.runDir, pinDir: tt.pinDir})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("the same %s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if _, err := dataplane.LockPins(pins); err == nil || !strings.HasPrefix(err.Error(), "another weir keeps the data plane that is pinned in "+pins+me) {
		t.Errorf("the same pins: %v", err)
	}
	first.unlock()
	again, err := lockAll(runOptions{runDir: dir, pinDir: pins})
	if err != nil {
		t.Fatal(err)
	}
	again.unlock()
	if _, err := os.Stat(pins); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left by a start that came to nothing (%v)", pins, err)
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	for _, tt := range []struct{ name, config, log, want string }{
		{"a log form", "", "yaml", "expected text or json"},
		{"an interface that is not there", "vrrp_instance VI_1 {\n interface nosuch0\n virtual_router_id 51\n priority 100\n virtual_ipaddress {\n 192.0.2.9\n }\n}\n", "text", "nosuch0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "keepalived.conf")
			if err := os.WriteFile(file, []byte(tt.config), 0o600); err != nil {
				t.Fatal(err)
			}
			pinDir := filepath.Join("/sys/fs/bpf", "weirt-"+filepath.Base(dir))
			err := run(context.Background(), runOptions{config: file, runDir: dir, pinDir: pinDir, log: tt.log})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, err := os.Stat(pinDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("pins are left in %s (%v)", pinDir, err)
			}
		})
	}
}
