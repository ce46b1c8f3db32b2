package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestRunRefusesASecondProcess(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "another weir runs") {
		t.Errorf("got %v, want that another weir runs", err)
	}
	unlock()
	again, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
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
