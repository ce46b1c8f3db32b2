package lease

import (
	"unsafe"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/vrrp/pace"
)

// held are the leases that a thread renews by itself, by their index.
type held map[uint32]*pace.Lease

// hold is the lease of this index, of which lease is what is written.
func (h held) hold(table *ebpf.Map, index uint32, lease abi.BpfLease) (*pace.Lease, error) {
	if of := h[index]; of != nil {
		return of, nil
	}
	of, err := pace.NewLease(table.FD(), index, rest(lease))
	if err == nil {
		h[index] = of
	}
	return of, err
}

// changed has the thread write the lease as it is now.
func (h held) changed(index uint32, lease abi.BpfLease) {
	if of := h[index]; of != nil {
		of.SetRest(rest(lease))
	}
}

func (h held) revoke(index uint32) {
	if of := h[index]; of != nil {
		of.Revoke()
		delete(h, index)
	}
}

func (h held) revokeAll() {
	for index := range h {
		h.revoke(index)
	}
}

// ours is what a mirror knows of a lease: not its end, where a thread renews it.
func (h held) ours(lease abi.BpfLease) abi.BpfLease {
	for _, of := range h {
		if of.Rest() == rest(lease) {
			lease.Until = 0
		}
	}
	return lease
}

// rest is a lease without its end.
func rest(lease abi.BpfLease) uint64 {
	const _ = -(unsafe.Sizeof(lease) - 16) // a thread writes 16 bytes
	return *(*uint64)(unsafe.Pointer(&lease.Ifindex))
}
