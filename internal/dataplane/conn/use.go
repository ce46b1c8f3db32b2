package conn

import (
	"unsafe"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
)

// Use is how much of the tables of one kind is in use, and what they take of the kernel's
// memory.
type Use struct {
	InUse       int    // entries that the last sweep met
	Room, Most  int    // entries: for how many there is room now, and when the tables have grown
	Bytes, Full uint64 // that the tables take now, and when they have grown and are full
}

// Use is that of the connections.
func (t *Table) Use() Use {
	has, last := t.has(), t.shape.last()
	return Use{InUse: t.Live(), Room: int(has.connections), Most: int(last.connections), Bytes: t.shape.bytes(has), Full: t.shape.bytes(last)}
}

// TemplateUse is that of the templates. Their table has all of its room from the start, but
// takes memory as templates come.
func (t *Table) TemplateUse() Use {
	t.mu.Lock()
	live, entries := t.clients.live, t.clients.entries
	t.mu.Unlock()
	most := t.maps.Templates.MaxEntries()
	_, full := TemplateBytes(int(most))
	return Use{InUse: int(live), Room: int(most), Most: int(most), Bytes: templateBytes(most, live, entries), Full: full}
}

// Bytes is what tables for so many connections take of the kernel's memory at first, and in
// the end.
func Bytes(connections int) (first, last uint64) {
	s := shapeOf(uint32(connections))
	return s.bytes(s.steps[0]), s.bytes(s.last())
}

// bytes is what the tables of a step take of the kernel's memory.
func (s *shape) bytes(at step) (bytes uint64) {
	bytes += uint64(at.slotChunks) * uint64(s.slotEach) * uint64(unsafe.Sizeof(abi.BpfConn{}))
	bytes += uint64(unsafe.Sizeof(abi.Bucket{})) << at.indexBits
	pairs := uint64(at.flowChunks*s.cpus) << s.flowBits
	bytes += pairs * 2 * uint64(unsafe.Sizeof(abi.BpfFlowLine{}))
	return bytes + uint64(halfOpenRing(s.last().connections))*uint64(unsafe.Sizeof(abi.BpfHalfOpen{}))
}

// TemplateBytes is what the table for so many templates takes at first, and when it is full.
func TemplateBytes(templates int) (first, full uint64) {
	n := uint32(templates)
	return templateBytes(n, 0, templateEntries), templateBytes(n, n, max(templateEntries, mostTemplateEntries(n)))
}

// templateBytes is what a table for most templates takes while there are live ones, with so many
// expiry entries. The kernel allocates 128 bytes for one template.
func templateBytes(most, live, entries uint32) uint64 {
	return kmap.HeadBytes(most) + uint64(live)*128 + uint64(entries)*uint64(unsafe.Sizeof(abi.TemplateEntry{}))
}
