package attach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/netlnk"
)

// ours are the names of the programs that a data plane has on devices, as far as the kernel
// keeps them.
var ours = func() (names []string) {
	for _, name := range []string{abi.BpfProgWeirXdp, abi.BpfProgWeirTc, abi.BpfProgWeirTcL3, abi.BpfProgWeirBehind, abi.BpfProgWeirEgress} {
		names = append(names, kernelName(name))
	}
	return names
}()

// kernelName is a program's name as far as the kernel keeps it (BPF_OBJ_NAME_LEN).
func kernelName(name string) string { return name[:min(len(name), unix.BPF_OBJ_NAME_LEN-1)] }

// takeOffLeft takes off what a data plane with another folder of pins has left on a device,
// and tells of it. One weir runs in a network namespace, so nobody renews the leases there any
// more: its programs would keep this one's announcements of VIPs back. A filter of clsact needs
// nothing: it has the place that this one's gets.
func (a *Devices) takeOffLeft(device string, index int) error {
	found, err := linksOn(index)
	if err != nil || len(found) == 0 {
		return err
	}
	mine, err := a.pinnedLinks()
	if err != nil {
		return err
	}
	some := false
	for _, id := range found {
		if slices.Contains(mine, id) {
			continue
		}
		l, err := link.NewFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = l.Detach()
			l.Close()
		}
		if err != nil && !errors.Is(err, unix.ENOLINK) {
			return fmt.Errorf("take off what a data plane with other pins has left: %w", err)
		}
		some = true
	}
	if some {
		a.log.Warn("a data plane with another folder of pins was left on the device, and is taken off", "device", device)
	}
	return nil
}

// linksOn are the links of weir's programs on a device, whoever pinned them.
func linksOn(index int) (found []link.ID, err error) {
	for _, where := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		programs, err := programsAt(index, where)
		if err != nil {
			return nil, err
		}
		for _, p := range programs {
			if id, byLink := p.LinkID(); byLink && isOurs(p.ID) {
				found = append(found, id)
			}
		}
	}
	program, err := netlnk.XDPProgram(index)
	if err != nil || program == 0 || !isOurs(ebpf.ProgramID(program)) {
		return found, err
	}
	all := new(link.Iterator)
	defer all.Close()
	for all.Next() {
		// Devices of other network namespaces have the same numbers, and other programs.
		if info, err := all.Link.Info(); err == nil && int(info.Program) == program && deviceOf(info) == index {
			found = append(found, all.ID)
		}
	}
	return found, nil
}

// programsAt are the programs that links have put at tc on a device, in one direction. There is
// none where the kernel has no such links: Linux before 6.6 refuses the question by EINVAL.
func programsAt(index int, where ebpf.AttachType) ([]link.AttachedProgram, error) {
	all, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: where})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask what is attached: %w", err)
	}
	return all.Programs, nil
}

// isOurs says whether a program has the name of one of weir's.
func isOurs(id ebpf.ProgramID) bool {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false
	}
	defer program.Close()
	info, err := program.Info()
	return err == nil && slices.Contains(ours, info.Name)
}

// pinnedLinks are those of this data plane.
func (a *Devices) pinnedLinks() (ids []link.ID, err error) {
	pins, err := pinsOfPrograms(a.pinDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // somebody has removed the folder
		return nil, err
	}
	for _, pin := range pins {
		l, err := link.LoadPinnedLink(pin, nil)
		if err != nil {
			continue // a filter's program
		}
		info, err := l.Info()
		l.Close()
		if err != nil {
			return nil, fmt.Errorf("ask for the link of %s: %w", filepath.Base(pin), err)
		}
		ids = append(ids, info.ID)
	}
	return ids, nil
}
