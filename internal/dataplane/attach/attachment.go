package attach

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
)

// attachment is a program on a device, and its pin.
type attachment struct {
	program ebpf.ProgramID
	index   int // of the device
	pin     kmap.Pin
	link    link.Link // nil for a filter: the device holds that
	place   netlnk.FilterPlace
}

func attachedLink(l link.Link, path string, program *ebpf.Program, index int) (*attachment, error) {
	return newAttachment(attachment{link: l, index: index}, path, program)
}

func attachedFilter(path string, program *ebpf.Program, index int, place netlnk.FilterPlace) (*attachment, error) {
	return newAttachment(attachment{place: place, index: index}, path, program)
}

func newAttachment(h attachment, path string, program *ebpf.Program) (*attachment, error) {
	var err error
	if h.program, err = idOf(program); err == nil {
		h.pin, err = kmap.PinAt(path)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return &h, nil
}

func (h *attachment) close() {
	if h.link != nil {
		h.link.Close()
	}
}

// off says whether the program is not on its device any more.
func (h *attachment) off() bool {
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
func (h *attachment) repin() (err error) {
	if h.link != nil {
		if err := h.link.Unpin(); err != nil {
			return err
		}
		if err := h.link.Pin(h.pin.Path()); err != nil {
			return err
		}
	} else if err := h.repinFilter(); err != nil {
		return err
	}
	h.pin, err = kmap.PinAt(h.pin.Path())
	return err
}

func (h *attachment) repinFilter() error {
	if err := kmap.Unpin(h.pin.Path()); err != nil {
		return err
	}
	program, err := ebpf.NewProgramFromID(h.program)
	if err != nil {
		return err
	}
	defer program.Close()
	return program.Pin(h.pin.Path())
}
