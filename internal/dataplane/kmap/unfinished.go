package kmap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// unfinished is a folder among the pins. It is there from the moment at which a first start
// begins until its data plane has been set up: what is pinned beside it has never served
// anybody, and the next process takes it away instead of taking it up.
const unfinished = "unfinished"

// Begin marks a folder in which nothing is pinned as unfinished.
func Begin(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list the pins: %w", err)
	}
	if len(entries) > 0 {
		return nil
	}
	if err := os.Mkdir(filepath.Join(dir, unfinished), 0o700); err != nil {
		return fmt.Errorf("mark the pins as unfinished: %w", err)
	}
	return nil
}

// Unfinished says whether the folder is marked.
func Unfinished(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, unfinished))
	return err == nil
}

// Finish removes the mark, if there is one.
func Finish(dir string) error { return Unpin(filepath.Join(dir, unfinished)) }

// RemovePinDir removes the folder with all that is pinned in it. Once it has returned nil
// nothing can be pinned there any more, also by a goroutine that was about to.
func RemovePinDir(dir string) error {
	for {
		if err := RemovePins(dir); err != nil {
			return err
		}
		err := os.Remove(dir)
		if errors.Is(err, unix.ENOTEMPTY) {
			continue // something has been pinned in between
		}
		if err != nil {
			return fmt.Errorf("remove the folder of the pins: %w", err)
		}
		return nil
	}
}
