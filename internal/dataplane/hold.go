package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/netlnk"
)

// hold is a program on a device, and its pin.
type hold struct {
	program ebpf.ProgramID
	index   int // of the device
	pin     pin
	link    link.Link // nil for a filter: the device holds that
	place   netlnk.FilterPlace
}

func holdLink(l link.Link, path string, program *ebpf.Program, index int) (*hold, error) {
	return newHold(hold{link: l, index: index}, path, program)
}

func holdFilter(path string, program *ebpf.Program, index int, place netlnk.FilterPlace) (*hold, error) {
	return newHold(hold{place: place, index: index}, path, program)
}

func newHold(h hold, path string, program *ebpf.Program) (*hold, error) {
	info, err := program.Info()
	if err == nil {
		h.program, _ = info.ID()
		h.pin, err = pinAt(path)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return &h, nil
}

func (h *hold) close() {
	if h.link != nil {
		h.link.Close()
	}
}

// off says whether the program is not on its device any more.
func (h *hold) off() bool {
	if h.link == nil {
		id, err := netlnk.FilterProgram(h.index, h.place)
		return err == nil && id != int(h.program)
	}
	info, err := h.link.Info()
	return err != nil || deviceOf(info) != h.index || info.Program != h.program
}

// deviceOf is where a link is; 0 for one that was detached, or whose device went.
func deviceOf(info *link.Info) int {
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
}

// repin pins it again.
func (h *hold) repin() (err error) {
	if h.link != nil {
		if err := h.link.Unpin(); err != nil {
			return err
		}
		if err := h.link.Pin(h.pin.path); err != nil {
			return err
		}
	} else if err := h.repinFilter(); err != nil {
		return err
	}
	h.pin, err = pinAt(h.pin.path)
	return err
}

func (h *hold) repinFilter() error {
	if err := unpin(h.pin.path); err != nil {
		return err
	}
	program, err := ebpf.NewProgramFromID(h.program)
	if err != nil {
		return err
	}
	defer program.Close()
	return program.Pin(h.pin.path)
}

// pin is a name in the bpf file system, with the number by which that knows what
// is pinned there: whatever is pinned anew has another one.
type pin struct {
	path  string
	inode uint64
}

func pinAt(path string) (pin, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return pin{}, fmt.Errorf("look at the pin: %w", err)
	}
	return pin{path, info.Sys().(*syscall.Stat_t).Ino}, nil
}

func (p pin) name() string { return filepath.Base(p.path) }

// lost says whether it is not there, or something else is.
func (p pin) lost() bool {
	now, err := pinAt(p.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && now != p
}
