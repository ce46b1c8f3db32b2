package attach

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/kmap"
)

// occupied are the errors with which the kernel refuses a program that a device has already:
// EEXIST at tc (bpf_mprog_attach in kernel/bpf/mprog.c), EBUSY at XDP.
func occupied(err error) bool { return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) }

// freeRenumbered takes off what is pinned at this place for another number and is on this
// device: one that was in another network namespace keeps its programs, and may have come
// back under another number. Freed is false where there was nothing of that kind.
func freeRenumbered(path string, index int) (freed bool, err error) {
	place, _, _ := strings.Cut(filepath.Base(path), "_")
	pins, err := filepath.Glob(filepath.Join(filepath.Dir(path), place+"_*"))
	if err != nil {
		return false, err
	}
	for _, pin := range pins {
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			continue // a filter's program
		}
		info, err := l.Info()
		if err == nil && pin != path && deviceOf(info) == index {
			if err = l.Detach(); err == nil {
				err, freed = kmap.Unpin(pin), true
			}
			if err != nil {
				err = fmt.Errorf("take off what is pinned in %s: %w", filepath.Base(pin), err)
			}
		} else {
			err = nil
		}
		l.Close()
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}
