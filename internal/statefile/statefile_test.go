package statefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// No link, no pipe and nobody else's file is read or written as a state.
func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "state.json"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, tt := range []struct {
		name string
		make func() error
		want string
	}{
		{"a link", func() error { return os.Symlink("other", path) }, "it is a link"},
		{"a pipe", func() error { return unix.Mkfifo(path, 0o600) }, "is not a regular file"},
		{"another user's", func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 4242, 0)) }, "is another user's"},
		{"a huge one", func() error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<30)) }, "is longer than 16 MiB"},
	} {
		if err := tt.make(); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		// What is beside it is replaced, and not followed.
		if err := errors.Join(os.Remove(path), os.Symlink("other", path+".new"), Write(path, []byte("mine"))); err != nil {
			t.Errorf("%s: write: %v", tt.name, err)
		}
		if b, err := Read(path); err != nil || string(b) != "mine" {
			t.Errorf("%s: read %q, %v", tt.name, b, err)
		}
		if b, err := os.ReadFile(other); err != nil || string(b) != "other" {
			t.Errorf("%s: the link was followed: %q, %v", tt.name, b, err)
		}
		os.Remove(path)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, nil); err == nil || !strings.Contains(err.Error(), "anybody may write to the folder") {
		t.Errorf("a folder of everybody: %v", err)
	}
}
