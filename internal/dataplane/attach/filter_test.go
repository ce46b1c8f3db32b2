package attach

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// withDevice runs the body in a namespace with a device of this index, and with a
// folder for pins.
func withDevice(t *testing.T, body func(a *Devices, index int)) {
	t.Helper()
	ns, far := nstest.New(t, "weirt-attach"), nstest.New(t, "weirt-attachx")
	nstest.Veth(ns, "eth0", far, "eth0")
	dir := fmt.Sprintf("/sys/fs/bpf/weirt-%d-attach", os.Getpid())
	if err := kmap.MakePinDir(dir); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ns.Do(func() {
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		body(&Devices{pinDir: dir}, device.Index)
	})
}

// passing is a program of somebody else.
func passing() (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}, // TC_ACT_UNSPEC
	})
}

// On kernels without tcx a filter holds the program: it is seen to be gone, and the
// pin comes again.
func TestAttachmentOfAFilter(t *testing.T) {
	withDevice(t, func(a *Devices, index int) {
		path := a.egressPin(index)
		attach := func() *attachment {
			program, err := passing()
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			if err := a.attachFilter(path, program, index, netlnk.FilterEgress); err != nil {
				t.Fatal(err)
			}
			h, err := attachedFilter(path, program, index, netlnk.FilterEgress)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		h := attach()
		if h.off() || h.pin.Lost() {
			t.Fatalf("off: %t, pin lost: %t, right after it was attached", h.off(), h.pin.Lost())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if !h.pin.Lost() {
			t.Error("the pin was removed, and is not missed")
		}
		if err := h.repin(); err != nil || h.pin.Lost() {
			t.Errorf("pinned again: %v, lost: %t", err, h.pin.Lost())
		}
		for what, spoil := range map[string]func() error{
			"the filter is deleted": func() error { return netlnk.DeleteFilter(index, netlnk.FilterEgress) },
			"another program is there": func() error {
				other, err := passing()
				if err != nil {
					return err
				}
				defer other.Close()
				return netlnk.SetFilter(index, netlnk.FilterEgress, other.FD(), "other")
			},
		} {
			h := attach()
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			if !h.off() {
				t.Errorf("%s: not noticed", what)
			}
		}
		if err := detach(path); err != nil {
			t.Error(err)
		}
	})
}
