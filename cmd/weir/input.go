package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"weir/conf"
)

// defaultConfig is the file that is read where none is named.
const defaultConfig = "/etc/keepalived/keepalived.conf"

// stdinName is what standard input is called in what is said about it.
const stdinName = "(standard input)"

// A verb that reads files has them as arguments: FILE, - for standard input, or none for
// defaultConfig.

// filesOf are the files that a verb's arguments name.
func filesOf(args []string) []string {
	if len(args) == 0 {
		return []string{defaultConfig}
	}
	return args
}

// fileOf is the one file that they name.
func fileOf(args []string) string { return filesOf(args)[0] }

// nameOf is what a file is called in what is said about it.
func nameOf(path string) string {
	if path == "-" {
		return stdinName
	}
	return path
}

// inputWithin is how long a text may take to come by a pipe.
const inputWithin = time.Minute

// errNoName says that a file is named by an empty argument, as by a variable of a shell that is
// not set: as a path it would be the working folder.
var errNoName = errors.New("the name of the file is empty: expected one, - for standard input, or no argument")

// readInput reads a file, or standard input where it is called -. The error has no path.
func readInput(ctx context.Context, in io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return readWithin(ctx, func() (io.ReadCloser, error) { return io.NopCloser(in), nil }, inputWithin)
	}
	if path == "" {
		return nil, errNoName
	}
	if info, err := os.Stat(path); err == nil {
		switch {
		case info.IsDir():
			return nil, errors.New("it is a directory")
		case info.Mode()&os.ModeSocket != 0:
			return nil, errors.New("it is a socket")
		}
	}
	return readWithin(ctx, func() (io.ReadCloser, error) { return os.Open(path) }, inputWithin)
}

// readWithin reads all, in a time that a pipe without a writer, or one that never ends,
// does not keep to.
func readWithin(ctx context.Context, open func() (io.ReadCloser, error), within time.Duration) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		f, err := open()
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer f.Close()
		text, err := conf.ReadAll(f)
		if text == nil {
			text = []byte{} // nothing is a text, too
		}
		done <- result{text, err}
	}()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case r := <-done:
		var at *os.PathError
		if errors.As(r.err, &at) {
			r.err = at.Err
		}
		return r.text, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late.C:
		return nil, fmt.Errorf("its end did not come within %v", within)
	}
}
