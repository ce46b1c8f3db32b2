package text

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Files is where texts come from: the disk, or memory in tests.
type Files interface {
	// Read is the text of a file. Only the first file of a run may be other
	// than regular, such as a pipe: an include never waits for a device.
	Read(path string, first bool) (string, error)
	// Glob lists the files that match a pattern. Its error is
	// filepath.ErrBadPattern.
	Glob(pattern string) ([]string, error)
}

// MaxFile is the longest text of one file, in bytes.
const MaxFile = 64 << 20

// ErrTooLong says that a text is longer than MaxFile.
var ErrTooLong = fmt.Errorf("it is longer than %d MiB", MaxFile>>20)

// Disk is the files of this machine.
type Disk struct {
	// Regular has the first file be a regular one, too.
	Regular bool
}

// Read is the text of a file. The error is ErrTooLong for one without an end.
func (d Disk) Read(path string, first bool) (string, error) {
	regular := d.Regular || !first
	// A look before it is opened: to open a device may do something.
	info, err := os.Stat(path)
	if err == nil {
		err = readable(info, regular)
	}
	if err != nil {
		return "", err
	}
	flags := os.O_RDONLY
	if regular {
		flags |= syscall.O_NONBLOCK // where it has become a pipe meanwhile
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = readable(info, regular)
	}
	if err != nil {
		return "", err
	}
	var content strings.Builder
	content.Grow(int(min(info.Size(), MaxFile)))
	if n, err := io.Copy(&content, io.LimitReader(f, MaxFile+1)); err != nil || n > MaxFile {
		return "", cmp.Or(err, ErrTooLong)
	}
	return content.String(), nil
}

func readable(info os.FileInfo, regular bool) error {
	switch {
	case info.IsDir():
		return errors.New("it is a directory")
	case regular && !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	}
	return nil
}

// ReadAll is io.ReadAll up to MaxFile; what is longer is ErrTooLong.
func ReadAll(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(content) > MaxFile {
		return nil, ErrTooLong
	}
	return content, err
}

// Glob lists the files that match a pattern, as filepath.Glob.
func (Disk) Glob(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// Given is files of which the first is here already: its text is content.
func Given(files Files, content string) Files { return given{files, content} }

type given struct {
	Files
	content string
}

func (g given) Read(path string, first bool) (string, error) {
	if first {
		return g.content, nil
	}
	return g.Files.Read(path, first)
}

// Within is files that are waited for no longer than a time in all: an open or a read of a
// disk that hangs cannot be broken off. One goroutine uses it at a time.
func Within(files Files, limit time.Duration) Files { return &patient{files, limit, limit} }

type patient struct {
	files       Files
	limit, left time.Duration
}

// hanging counts what was given up and has not returned.
var hanging atomic.Int32

// maxHanging bounds hanging: each holds a thread.
const maxHanging = 16

// Read is the text of a file, or an error that says that it did not come in time.
func (p *patient) Read(path string, first bool) (content string, err error) {
	type result struct {
		content string
		err     error
	}
	r, err := wait(p, func() result {
		content, err := p.files.Read(path, first)
		return result{content, err}
	})
	if err != nil {
		return "", err
	}
	return r.content, r.err
}

// Glob lists the files that match a pattern; none where the disk does not answer in time.
func (p *patient) Glob(pattern string) ([]string, error) {
	type result struct {
		paths []string
		err   error
	}
	r, err := wait(p, func() result {
		paths, err := p.files.Glob(pattern)
		return result{paths, err}
	})
	if err != nil {
		return nil, err
	}
	return r.paths, r.err
}

// wait has something be done, and waits for it as long as p has patience.
func wait[R any](p *patient, do func() R) (result R, err error) {
	if hanging.Load() >= maxHanging {
		return result, errors.New("files that were asked for before have not come yet: does their disk hang?")
	}
	begun := time.Now()
	done := make(chan R, 1)
	hanging.Add(1)
	go func() {
		defer hanging.Add(-1)
		done <- do()
	}()
	late := time.NewTimer(p.left)
	defer late.Stop()
	select {
	case result = <-done:
		p.left -= time.Since(begun)
		return result, nil
	case <-late.C:
		p.left = 0
		return result, fmt.Errorf("it did not come within %v: a pipe without a writer, or a disk that hangs", p.limit)
	}
}
