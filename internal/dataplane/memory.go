package dataplane

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
)

// need is what the tables take of the kernel's memory, in bytes, by the size of the
// configuration that decides about it.
type need struct {
	options                                            Options
	connections, templates, services, servers, reserve uint64
	process                                            uint64 // beside the tables
}

// needOf adds up the tables of an object whose sizes are set.
func needOf(spec *ebpf.CollectionSpec, o Options) (n need) {
	n.options, n.process = o, besides+uint64(o.Expected)*perServer
	cpus := uint64(ebpf.MustPossibleCPU())
	for name, m := range spec.Maps {
		part := &n.reserve
		switch name {
		case abi.BpfMapConns, abi.BpfMapExpiryEntries, abi.BpfMapHalfOpenRing, abi.BpfMapFlowLines:
			part = &n.connections
		case abi.BpfMapTemplates:
			part = &n.templates
		default:
			if slices.Contains(serviceTables, name) {
				part = &n.services
			} else if slices.Contains(serverTables, name) {
				part = &n.servers
			}
		}
		*part += tableBytes(m, cpus)
	}
	return n
}

// all is the sum.
func (n need) all() uint64 { return n.connections + n.templates + n.services + n.servers + n.reserve }

// An element of a hash table has a header beside key and value (struct htab_elem), and the
// table a list's head for each (struct bucket): kernel/bpf/hashtab.c.
const (
	elementHead = 48
	bucketBytes = 16
)

// tableBytes is what a table takes as soon as it is made. One whose entries are allocated one
// by one takes only its heads.
func tableBytes(m *ebpf.MapSpec, cpus uint64) uint64 {
	n, key, value := uint64(m.MaxEntries), uint64(m.KeySize+7)&^7, uint64(m.ValueSize+7)&^7
	switch m.Type {
	case ebpf.PerCPUArray:
		return n * value * cpus
	case ebpf.Hash, ebpf.LRUHash:
		heads := bucketBytes << bits.Len64(n-1)
		if m.Flags&unix.BPF_F_NO_PREALLOC != 0 {
			return uint64(heads)
		}
		return uint64(heads) + (n+cpus)*(elementHead+key+value)
	case ebpf.LPMTrie:
		return 0
	case ebpf.ArrayOfMaps, ebpf.ProgramArray:
		return n * 8
	}
	return n * value
}

// besides is what the programs, while the kernel verifies them, and the process itself take.
// PerServer is what the process takes for each real server of a configuration, measured with
// 40,000 of them.
const (
	besides   = 48 << 20
	perServer = 3 << 10
)

// String tells what the tables take.
func (n need) String() string {
	o := n.options
	return fmt.Sprintf("the tables take some %s of the kernel's memory (connections %d: %s, templates %d: %s, servers %d: %s, services %d: %s)",
		mib(n.all()), o.Connections, mib(n.connections), o.Templates, mib(n.templates), o.RealServers, mib(n.servers), o.Services, mib(n.services))
}

// remedy is what an operator can do, for a limit of memory in bytes; 0 is one that is not
// known. It halves the tables of clients until all fits, or else to a quarter, and no further
// than the configuration's language goes.
func (n need) remedy(limit uint64) string {
	smaller := n
	for times := 0; ; times++ {
		fits := times >= 2
		if limit > 0 {
			fits = times >= 1 && smaller.all()+n.process <= limit
		}
		if fits || smaller.options.Connections/2 < fewestEntries {
			break
		}
		smaller.options.Connections /= 2
		smaller.connections /= 2
		if smaller.options.Templates/2 >= fewestEntries {
			smaller.options.Templates /= 2
			smaller.templates /= 2
		}
	}
	o := smaller.options
	return fmt.Sprintf("give weir more memory (MemoryMax= of the unit, the memory of the container or machine), or write smaller tables into the configuration: "+
		"weir { tables { connections %d templates %d servers %d services %d } } take some %s",
		o.Connections, o.Templates, o.RealServers, o.Services, mib(smaller.all()))
}

// fewestEntries is the smallest size of the tables of clients in a configuration.
const fewestEntries = 1024

func mib(bytes uint64) string { return fmt.Sprintf("%d MiB", (bytes+1<<19)>>20) }

// explain adds to an error about memory what the tables take and what to do. Other errors
// come back as they are. The kernel answers ENOMEM where there is none, and E2BIG to a table
// larger than any may be.
func (n need) explain(err error) error {
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: %s; %s", err, n, n.remedy(memoryLimit()))
	}
	return err
}

// warn says before the tables are made that the process's limit of memory is below what they
// take: the kernel may end the process then, which can say nothing any more.
func (n need) warn(log *slog.Logger) {
	if limit := memoryLimit(); limit > 0 && n.all()+n.process > limit {
		log.Warn("the limit of memory may be too low for the data plane", "limit", mib(limit), "tables", mib(n.all()),
			"programs_and_process", mib(n.process), "remedy", n.remedy(limit))
	}
}

// memoryLimit is the lowest limit of memory of the process's control groups, in bytes; 0
// where none is known.
func memoryLimit() uint64 {
	f, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	defer f.Close()
	lowest := uint64(0)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			if !slices.Contains(strings.Split(parts[1], ","), "memory") {
				continue
			}
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for group := path.Clean(parts[2]); ; group = path.Dir(group) {
			if limit := limitIn(path.Join(root, group, file)); limit > 0 && (lowest == 0 || limit < lowest) {
				lowest = limit
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return lowest
}

// limitIn reads a limit in bytes; 0 where there is none: "max", or more than any machine has.
func limitIn(file string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n > 1<<50 {
		return 0
	}
	return n
}
