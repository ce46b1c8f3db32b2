package attach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
)

// attachTC puts a program on a device's tc hook: by a tcx link, or, on kernels
// before 6.6, which have none, by a filter of clsact.
func (a *Devices) attachTC(path string, program *ebpf.Program, index int, where ebpf.AttachType) (*attachment, error) {
	h, err := a.pinned(path, program, index, func() (link.Link, error) {
		return link.AttachTCX(link.TCXOptions{Interface: index, Program: program, Attach: where})
	})
	if errors.Is(err, ebpf.ErrNotSupported) {
		place := filterPlace(where == ebpf.AttachTCXEgress)
		err := a.Unless(func() error { return a.attachFilter(path, program, index, place) })
		if err != nil {
			return nil, err
		}
		return attachedFilter(path, program, index, place)
	}
	return h, err
}

// attachFilter sets the filter, or replaces its program. A filter stays without
// a pin, too: the program is pinned where a link would be, first, so that whoever
// reads the pins knows of the filter.
func (a *Devices) attachFilter(path string, program *ebpf.Program, index int, place netlnk.FilterPlace) error {
	next := filepath.Join(a.pinDir, "next_"+filepath.Base(path))
	if err := kmap.Unpin(next); err != nil {
		return err
	}
	clone, err := program.Clone() // a program remembers where it was pinned, and is not pinned there again
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	defer clone.Close()
	if err := clone.Pin(next); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := netlnk.SetFilter(index, place, program.FD(), "weir"); err != nil {
		return errors.Join(err, kmap.Unpin(path))
	}
	return nil
}

func filterPlace(egress bool) netlnk.FilterPlace {
	if egress {
		return netlnk.FilterEgress
	}
	return netlnk.FilterIngress
}

// detachFilter takes off the filter whose program is pinned there, unless another program
// has its place by now; isFilter is false where something else is pinned.
func detachFilter(path string) (isFilter bool, err error) {
	program, err := ebpf.LoadPinnedProgram(path, nil)
	if err != nil {
		return false, nil
	}
	defer program.Close()
	name := filepath.Base(path)
	place := filterPlace(strings.HasPrefix(name, "egress_"))
	var index int
	if _, err := fmt.Sscanf(name[strings.Index(name, "_"):], "_%d", &index); err != nil {
		return true, fmt.Errorf("pin %s: which device is not to be read from its name: %w", path, err)
	}
	ours, err := holds(index, place, program)
	if err != nil {
		return true, err
	}
	if ours {
		if err := netlnk.DeleteFilter(index, place); err != nil {
			return true, fmt.Errorf("detach: %w", err)
		}
	}
	return true, kmap.Unpin(path)
}

// holds says whether a program is the one of the filter at a place of a device.
func holds(index int, place netlnk.FilterPlace, program *ebpf.Program) (bool, error) {
	id, err := idOf(program)
	if err != nil {
		return false, fmt.Errorf("ask for the program to take off: %w", err)
	}
	at, err := netlnk.FilterProgram(index, place)
	return at == int(id), err
}
