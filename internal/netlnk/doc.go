// Package netlnk is weir's view of the kernel's links, addresses, routes,
// neighbours and interface sysctls, and the only importer of a netlink library.
//
// Every function acts on the network namespace of the calling thread: weir runs inside
// the namespace that it serves. Nothing reads /sys, since after "ip netns exec" it may
// still show the devices of another namespace.
//
// Errors name what was tried and wrap the kernel's errno; functions that take a device's
// name wrap ErrNoDevice where there is no such device.
package netlnk

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// ErrNoDevice is wrapped by errors about a device's name that no device has.
var ErrNoDevice = errors.New("no such device")

// ErrInterrupted is wrapped by errors about a listing that changes have interrupted again
// and again: what is being changed can be listed a moment later.
var ErrInterrupted error = netlink.ErrDumpInterrupted

// dumpTries bounds how often a listing is repeated that a change interrupted
// (NLM_F_DUMP_INTR), so that entries may be missing.
const dumpTries = 8

// dump repeats a listing until it is complete, dumpTries times at most.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		all, err := list()
		if try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		return all, err
	}
}
