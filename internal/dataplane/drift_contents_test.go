package dataplane

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// contents is the kernel's side as a next process would find it, but for what the
// data plane itself writes: tables by way of their pins, and what is attached.
func (b *bench) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"services", "service_entries", "service_slots", "servers", "service_vips", "service_keys", "service_counts", "addr_filter", "local_addrs", "leases", "vips",
		"directors", "director_filter", "mark_lists", "mark_rules", "timeouts"} {
		table, err := ebpf.LoadPinnedMap(filepath.Join(b.pinDir, name), nil)
		if err != nil {
			all[name] = err.Error()
			continue
		}
		all[name] = entriesOf(t, name, table)
		table.Close()
	}
	for _, of := range []struct{ name, prefix string }{{"pins", ""}, {"ingress", "ingress_"}, {"egress", "egress_"}} {
		all[of.name] = b.pinsNow(of.prefix)
	}
	for key := range written[abi.BpfServiceKey, abi.BpfService](b.maps.Services) {
		table := b.tableOf(t, key.LVS())
		if len(table) > abi.TableHead {
			table[abi.TableCursor], table[abi.TableHead] = 0, 0 // the cursor, and the count at which a round began
		}
		all["table of "+key.LVS().String()] = fmt.Sprint(table)
	}
	for index, s := range written[uint32, abi.BpfServer](b.maps.Servers) {
		now := entry[abi.BpfLoad](b.maps.Loads, index)
		all[fmt.Sprintf("load of %d, %s", s.Service, s.AddrPort())] = fmt.Sprint(now.Weight, now.Upper, now.Lower)
	}
	var sizes abi.BpfSlotSizes
	err := b.maps.SlotSizes.Lookup(uint32(0), &sizes)
	all["slot_sizes"] = fmt.Sprint(sizes.Slots, sizes.HalfOpen, sizes.Index&abi.IndexBits, sizes.Before, err) // the index may be at its other place
	chunks := 0
	for at := range b.maps.ConnIndex.MaxEntries() {
		var id uint32
		if b.maps.ConnIndex.Lookup(at, &id) == nil {
			chunks++
		}
	}
	all["conn_index"] = fmt.Sprint(chunks)
	for name, outer := range map[string]*ebpf.Map{"conn_slots": b.maps.ConnSlots, "flow_chunks": b.maps.FlowChunks} {
		for at := range outer.MaxEntries() {
			var id uint32
			all[fmt.Sprint(name, " ", at)] = fmt.Sprint(outer.Lookup(at, &id))
		}
	}
	var tail uint32
	err = b.maps.Tails.Lookup(uint32(0), &tail)
	all["tails"] = fmt.Sprint(tail, err)
	var knobs abi.BpfFlowKnobs
	err = b.maps.FlowKnobs.Lookup(uint32(0), &knobs)
	all["flow_knobs"] = fmt.Sprint(knobs.Seed, knobs.Idle, err)
	return all
}

// tableOf reads the table of a service's scheduler; nil where there is none.
func (b *bench) tableOf(t testing.TB, key lvs.ServiceKey) (words []uint64) {
	t.Helper()
	var s abi.BpfService
	var table *ebpf.Map
	if b.maps.Services.Lookup(abi.ServiceKeyOf(key), &s) != nil || b.maps.Tables.Lookup(s.Index, &table) != nil {
		return nil
	}
	defer table.Close()
	for i := range table.MaxEntries() {
		row := entry[abi.Row](table, i)
		words = append(words, row[:]...)
	}
	return words
}

// deviceOf is where a link is; 0 for one that was detached, or whose device went.
func deviceOf(info *link.Info) int {
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
}

// pinsNow lists the pins of this prefix, and of links whether they are attached.
func (b *bench) pinsNow(prefix string) string {
	paths, _ := filepath.Glob(filepath.Join(b.pinDir, prefix+"*"))
	var list []string
	for _, path := range paths {
		entry := filepath.Base(path)
		if l, err := link.LoadPinnedLink(path, nil); err == nil {
			if info, err := l.Info(); err == nil {
				entry += fmt.Sprintf(" on %d", deviceOf(info))
				if p, err := ebpf.NewProgramFromID(info.Program); err == nil {
					entry += " " + p.String()[:len("SchedCLS(")]
					details, _ := p.Info()
					entry += details.Name
					p.Close()
				}
			}
			l.Close()
		}
		list = append(list, entry)
	}
	return strings.Join(list, ", ")
}

// entriesOf lists a table's entries, an array's only up to where the tests write.
func entriesOf(t *testing.T, name string, table *ebpf.Map) string {
	t.Helper()
	var list []string
	note := func(key any, value []byte) {
		if name == "servers" && len(value) == 64 {
			clear(value[44:48]) // the last sweep
		}
		list = append(list, fmt.Sprintf("%x:%x", key, value))
	}
	if table.Type() == ebpf.Array {
		for i := range min(table.MaxEntries(), 128) {
			value, err := table.LookupBytes(i)
			if err != nil {
				t.Fatal(err)
			}
			note(i, value)
		}
		return strings.Join(list, " ")
	}
	var key, value []byte
	for entries := table.Iterate(); entries.Next(&key, &value); {
		note(key, slices.Clone(value))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// differs says what is not as it was.
func (b *bench) differs(t *testing.T, want map[string]string) (wrong string) {
	t.Helper()
	got := b.contents(t)
	for name := range want {
		if got[name] != want[name] {
			wrong += fmt.Sprintf("%s is\n%s\nwant\n%s\n", name, got[name], want[name])
		}
	}
	return wrong
}
