package dataplane

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/sched"
)

// Options say where the data plane lives and how large it is. A size of 0 is the
// default. Tables that an earlier process left with other sizes are not taken up.
type Options struct {
	// PinDir is a folder of a bpf file system; it is made, and the file system
	// mounted at /sys/fs/bpf, where missing.
	PinDir string
	// Connections bounds the connection table.
	Connections int
	// Templates bounds the table of persistent clients; by default it is as large
	// as that of the connections.
	Templates int
	// Services bounds the virtual servers, and RealServers the real servers of all
	// of them together. What was removed counts while connections refer to it.
	Services, RealServers int
	// Expected is how many real servers the configuration has, by which the process's own
	// memory is estimated; 0 is a few.
	Expected int
	// CacheLines bounds the destinations that lblc and lblcr remember.
	CacheLines int
	// Cycle bounds the turns of wrr that are laid out in a table, 8 bytes each. A
	// longer cycle costs more for each new connection.
	Cycle int
	Log   *slog.Logger
	// Lock is that of PinDir, which LockPins gave; without it Run locks the folder.
	Lock *Lock
}

// The default sizes, with what each entry takes.
const (
	DefaultConnections = 1 << 20 // 168 bytes, and 128 of the flow cache; they grow (conn/tables.go)
	DefaultServices    = 4096    // 244 bytes, and 40 more for each CPU
	DefaultRealServers = 1 << 16 // 120 bytes, and 40 more for each CPU
	DefaultCacheLines  = 1 << 16 // memory is taken line by line
)

// blocksPerLine is for how many blocks of members of a line there is room, on average.
const blocksPerLine = 2

// checked are the options with the defaults in their places.
func (o Options) checked() (Options, error) {
	for _, size := range []struct {
		name            string
		value           *int
		otherwise, most int
	}{
		{"Connections", &o.Connections, DefaultConnections, 1 << 26},
		{"Templates", &o.Templates, cmp.Or(o.Connections, DefaultConnections), 1 << 26},
		{"Services", &o.Services, DefaultServices, 1 << 16},
		{"RealServers", &o.RealServers, DefaultRealServers, 1 << 20},
		{"CacheLines", &o.CacheLines, DefaultCacheLines, 1 << 24},
		{"Cycle", &o.Cycle, sched.MaxSlots, sched.MaxSlots},
	} {
		if *size.value < 0 || *size.value > size.most {
			return o, fmt.Errorf("%s is %d: expected 1 to %d, or 0 for the default of %d", size.name, *size.value, size.most, size.otherwise)
		}
		*size.value = cmp.Or(*size.value, size.otherwise)
	}
	return o, nil
}

// The tables that have an entry for each service, and for each server.
var (
	serviceTables = []string{abi.BpfMapServices, abi.BpfMapServiceEntries, abi.BpfMapTables, abi.BpfMapServiceVips, abi.BpfMapServiceKeys, abi.BpfMapServiceStats, abi.BpfMapServiceZeros}
	serverTables  = []string{abi.BpfMapServers, abi.BpfMapLoads, abi.BpfMapServerStats, abi.BpfMapServerZeros}
)

// size gives the tables the sizes that the options ask for.
func size(spec *ebpf.CollectionSpec, o Options) error {
	for entries, names := range map[*int][]string{
		&o.Templates:   {abi.BpfMapTemplates},
		&o.Services:    serviceTables,
		&o.RealServers: serverTables,
		&o.CacheLines:  {abi.BpfMapCache},
	} {
		for _, name := range names {
			spec.Maps[name].MaxEntries = uint32(*entries)
		}
	}
	spec.Maps[abi.BpfMapMemberBlocks].MaxEntries = uint32(o.CacheLines * blocksPerLine)
	spec.Maps[abi.BpfMapVips].MaxEntries = max(spec.Maps[abi.BpfMapVips].MaxEntries, uint32(o.Services))
	return conn.Size(spec, uint32(o.Connections))
}
