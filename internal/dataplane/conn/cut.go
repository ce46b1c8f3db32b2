package conn

import (
	"fmt"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
)

// cutContext is struct __sk_buff of linux/bpf.h up to its cb[0].
type cutContext struct {
	_     [12]uint32
	First uint32
	_     [4]uint32
}

// cutFrame is the least that a program for packets is run with: an Ethernet header, and
// the first byte of what it may be about.
var cutFrame [34]byte

// CutDenied ends the connections of clients that a rule denies. A packet that was on its
// way past the rules when they were written may begin one after that; so it is to be
// called once more a moment later.
func (t *Table) CutDenied() error {
	end := t.entries()
	for first := uint32(0); first < end; first += abi.CutAtATime {
		if _, err := t.programs.Cut.Run(&ebpf.RunOptions{Data: cutFrame[:], Context: cutContext{First: first}}); err != nil {
			return fmt.Errorf("end the connections of denied clients: %w", err)
		}
	}
	return nil
}
