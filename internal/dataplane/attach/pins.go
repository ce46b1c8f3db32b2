package attach

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// pinsOfPrograms are the paths at which links and filters' programs are pinned in a folder.
func pinsOfPrograms(pinDir string) (pins []string, err error) {
	entries, err := os.ReadDir(pinDir)
	if err != nil {
		return nil, fmt.Errorf("list the pins: %w", err)
	}
	for _, e := range entries {
		if place, _, _ := strings.Cut(e.Name(), "_"); place == "ingress" || place == "egress" || place == "behind" {
			pins = append(pins, filepath.Join(pinDir, e.Name()))
		}
	}
	return pins, nil
}

// pinnedProgram is the program of the link that is pinned there, or of the filter.
func pinnedProgram(pin string) (ebpf.ProgramID, error) {
	if l, err := link.LoadPinnedLink(pin, nil); err == nil {
		defer l.Close()
		info, err := l.Info()
		if err != nil {
			return 0, err
		}
		return info.Program, nil
	}
	program, err := ebpf.LoadPinnedProgram(pin, nil)
	if err != nil {
		return 0, err
	}
	defer program.Close()
	return idOf(program)
}

// idOf is the kernel's number of a program.
func idOf(program *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := program.Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID()
	return id, nil
}
