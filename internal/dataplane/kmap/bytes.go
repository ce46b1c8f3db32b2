package kmap

import (
	"math/bits"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ElementHead is the header that an element of a hash table has beside key and value, in bytes
// (struct htab_elem, kernel/bpf/hashtab.c).
const ElementHead = 48

// HeadBytes is what the lists' heads of a hash table for n elements take (struct bucket, in the
// same file).
func HeadBytes(n uint32) uint64 { return 16 << bits.Len32(n-1) }

// Bytes is what a table takes of the kernel's memory as soon as it is made. One whose entries
// are allocated one by one takes only its heads.
func Bytes(m *ebpf.MapSpec) uint64 {
	n, key, value := uint64(m.MaxEntries), uint64(m.KeySize+7)&^7, uint64(m.ValueSize+7)&^7
	cpus := uint64(ebpf.MustPossibleCPU())
	switch m.Type {
	case ebpf.PerCPUArray:
		return n * value * cpus
	case ebpf.Hash, ebpf.LRUHash:
		heads := HeadBytes(m.MaxEntries)
		if m.Flags&unix.BPF_F_NO_PREALLOC != 0 {
			return heads
		}
		return heads + (n+cpus)*(ElementHead+key+value)
	case ebpf.LPMTrie:
		return 0
	case ebpf.ArrayOfMaps, ebpf.ProgramArray:
		return n * 8
	}
	return n * value
}
