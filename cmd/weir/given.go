package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/internal/api"
)

// given is the question about a file as the caller means it: a regular file is read by
// the weir that runs, with what it includes. All else is read here, because it is another
// one there: - and /dev/stdin, what a shell makes of <(…), a FIFO. Its includes are looked
// for beside it, or, of standard input, in the working folder.
func given(ctx context.Context, stdin io.Reader, path string, within time.Duration) (r api.Request, err error) {
	if path == "-" {
		if r.File, err = filepath.Abs(stdinName); err != nil {
			return r, err
		}
		r.Text, err = readWithin(ctx, func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }, within)
		if err != nil {
			return r, fmt.Errorf("read standard input: %w", err)
		}
		return r, nil
	}
	if path == "" {
		return r, errNoName
	}
	if r.File, err = filepath.Abs(path); err != nil {
		return r, err
	}
	info, err := os.Stat(r.File)
	if err != nil || info.IsDir() || info.Mode().IsRegular() && !ofProcess(r.File) {
		return r, nil // weir says what is wrong with it
	}
	if info.Mode()&os.ModeSocket != 0 {
		return r, fmt.Errorf("read %s: it is a socket", path)
	}
	r.Text, err = readWithin(ctx, func() (io.ReadCloser, error) { return os.Open(path) }, within)
	if err != nil {
		return r, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// ofProcess says whether a path leads through this process's own descriptors, which a
// regular file may be behind: weir reload /dev/stdin < FILE.
func ofProcess(path string) bool {
	for range 40 { // as many links as the kernel follows
		if strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/dev/") {
			return true
		}
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return false
		}
		target, err := os.Readlink(filepath.Join(folder, filepath.Base(path)))
		if err != nil {
			return strings.HasPrefix(folder, "/proc/") || strings.HasPrefix(folder, "/dev")
		}
		if path = target; !filepath.IsAbs(path) {
			path = filepath.Join(folder, target)
		}
	}
	return false
}
