// Package netlnk is weir's view of the kernel's links, addresses, routes,
// neighbours and interface sysctls, and the only importer of a netlink library.
//
// Every function acts on the network namespace of the calling thread: weir runs
// inside the namespace it serves. Nothing reads /sys, because "ip netns exec"
// mounts another one there.
package netlnk

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// ErrNoDevice says that no device has the given name.
var ErrNoDevice = errors.New("no such device")

// dumpTries bounds how often a dump is repeated that the kernel says was
// interrupted by a change (NLM_F_DUMP_INTR) and so may lack entries.
const dumpTries = 8

// dump repeats a listing until it is whole.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		all, err := list()
		if try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		return all, err
	}
}
