package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/dataplane/kmap"
)

// need is what the tables take of the kernel's memory, by the size of the configuration that
// decides about it.
type need struct {
	options                                         Options
	connections, templates, services, servers, rest part
	process                                         uint64 // in bytes, beside the tables
}

// A part is what some of the tables take, in bytes: before connections and templates are many,
// and when all of them are full.
type part struct{ first, full uint64 }

// needOf adds up the tables of an object whose sizes are set.
func needOf(spec *ebpf.CollectionSpec, o Options) (n need) {
	n.options, n.process = o, besides+uint64(o.Expected)*perServer
	n.connections.first, n.connections.full = conn.Bytes(o.Connections)
	n.templates.first, n.templates.full = conn.TemplateBytes(o.Templates)
	for name, m := range spec.Maps {
		of := &n.rest
		switch {
		case slices.Contains(clientTables, name): // have been counted
			continue
		case slices.Contains(serviceTables, name):
			of = &n.services
		case slices.Contains(serverTables, name):
			of = &n.servers
		}
		of.first += kmap.Bytes(m)
		of.full = of.first
	}
	return n
}

// clientTables are those that have entries for each connection, and for each template.
var clientTables = []string{
	abi.BpfMapConnSlots, abi.BpfMapConnIndex, abi.BpfMapFlowChunks, abi.BpfMapHalfOpenSlots,
	abi.BpfMapTemplates, abi.BpfMapTemplateEntries,
}

// first is what all tables take before connections and templates are many.
func (n need) first() uint64 {
	return n.connections.first + n.templates.first + n.services.first + n.servers.first + n.rest.first
}

// all is what the tables take where all of them are full.
func (n need) all() uint64 {
	return n.connections.full + n.templates.full + n.services.full + n.servers.full + n.rest.full
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
	return fmt.Sprintf("the tables take some %s of the kernel's memory at first, and %s when they are full (connections %d: %s, templates %d: %s, servers %d: %s, services %d: %s)",
		mib(n.first()), mib(n.all()), o.Connections, mib(n.connections.full), o.Templates, mib(n.templates.full), o.RealServers, mib(n.servers.full), o.Services, mib(n.services.full))
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
		smaller.connections.full /= 2
		if smaller.options.Templates/2 >= fewestEntries {
			smaller.options.Templates /= 2
			smaller.templates.full /= 2
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
// take: the kernel may end the process then, which can say nothing any more. Tables that grow do
// not grow beyond it.
func (n need) warn(log *slog.Logger) {
	limit := memoryLimit()
	what := "the limit of memory may be too low for the data plane"
	switch {
	case limit == 0 || n.all()+n.process <= limit:
		return
	case n.first()+n.process <= limit:
		what = "the limit of memory is too low for as many connections and templates as the tables are to hold"
	}
	log.Warn(what, "limit", mib(limit), "tables_at_first", mib(n.first()), "tables", mib(n.all()),
		"programs_and_process", mib(n.process), "remedy", n.remedy(limit))
}
