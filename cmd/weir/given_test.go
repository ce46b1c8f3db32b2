package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGiven is what people name a configuration by: a regular file is read by the weir
// that runs, anything else by the caller.
func TestGiven(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := filepath.Join(dir, "a.conf")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.conf", "link"); err != nil {
		t.Fatal(err)
	}
	regular, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer regular.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.WriteString("text")
	w.Close()
	descriptor := func(f *os.File) string { return filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))) }
	if err := os.Symlink(descriptor(regular), "behind"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, file string
		text             bool
	}{
		{"a file", file, file, false},
		{"a relative path", "a.conf", file, false},
		{"a link", "link", filepath.Join(dir, "link"), false},
		{"a file that is not there", "none", filepath.Join(dir, "none"), false},
		{"a folder", dir, dir, false},
		{"standard input", "-", filepath.Join(dir, stdinName), true},
		{"a file behind a descriptor", descriptor(regular), descriptor(regular), true},
		{"a link to a descriptor", "behind", filepath.Join(dir, "behind"), true},
		{"a pipe behind a descriptor", descriptor(r), descriptor(r), true},
	} {
		got, err := given(t.Context(), strings.NewReader("text"), tt.path, time.Minute)
		if err != nil || got.File != tt.file || (got.Text != nil) != tt.text || tt.text && string(got.Text) != "text" {
			t.Errorf("%s: %v, file %q, text %q; want %q", tt.name, err, got.File, got.Text, tt.file)
		}
	}
	socket, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if _, err := given(t.Context(), strings.NewReader(""), "socket", time.Minute); err == nil || err.Error() != "read socket: it is a socket" {
		t.Errorf("a socket: %v", err)
	}
	if _, err := given(t.Context(), strings.NewReader(""), "", time.Minute); err != errNoName {
		t.Errorf("no name: %v, want %v", err, errNoName)
	}
	if got, err := given(t.Context(), strings.NewReader(""), "-", time.Minute); err != nil || got.Text == nil {
		t.Errorf("nothing on standard input: %v, text %v, want one that is empty", err, got.Text)
	}
}

// endless never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestGivenHasBounds is what would be read for ever.
func TestGivenHasBounds(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	silent, w := io.Pipe()
	defer w.Close()
	for _, tt := range []struct {
		name, path string
		in         io.Reader
		within     time.Duration
		want       string
	}{
		{"a device without an end", "/dev/zero", nil, time.Minute, "read /dev/zero: it is longer than 64 MiB"},
		{"an input without an end", "-", endless{}, time.Minute, "read standard input: it is longer than 64 MiB"},
		{"an input without a writer", "-", silent, time.Millisecond, "read standard input: its end did not come within 1ms"},
		{"a pipe without a writer", pipe, nil, time.Millisecond, "read " + pipe + ": its end did not come within 1ms"},
	} {
		if _, err := given(t.Context(), tt.in, tt.path, tt.within); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	// Nobody is to wait for it when the test ends.
	if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
		f.Close()
	}
}

// An empty name is no file: a verb says so, and does not read the working folder.
func TestEmptyName(t *testing.T) {
	if out, code := checkVerb(t, "", ""); code != 1 || !strings.Contains(out, errNoName.Error()) {
		t.Errorf("exit %d, printed %q", code, out)
	}
}

// A check of a device without an end takes no more memory than the longest file.
func TestCheckOfADeviceWithoutAnEnd(t *testing.T) {
	if out, code := checkVerb(t, "", "/dev/zero"); code != 1 || !strings.Contains(out, "it is longer than 64 MiB") {
		t.Errorf("exit %d, printed %q", code, out)
	}
}
