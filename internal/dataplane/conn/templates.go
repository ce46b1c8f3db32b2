package conn

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
)

// templates is what the sweep knows of the templates' expiry entries (conn/template_expiry.h
// of bpf/).
type templates struct {
	entries  uint32       // how many there are
	live     uint32       // templates that the last sweep met
	sweeping bool         // a sweep has begun and not ended
	args     abi.BpfSweep // where it is, and what it has met
	list     bool         // some template may have no entry
	unsure   bool         // the last sweep may not have met a template
	wait     time.Time    // until when nothing is made and listed
}

const (
	// templateEntries is how many entries there are at first, 48 bytes each; and so many
	// times as many are made when half of them are taken.
	templateEntries = 4096
	templateGrowth  = 4
	// listAfter is when templates of a version without entries get theirs: by then no
	// program of that version runs, which would take the entry's number for a sign that the
	// template is no good.
	listAfter = time.Minute
	// copyAtATime is how many entries are read and written in one call.
	copyAtATime = 4096
)

// startTemplates takes up the expiry entries of an earlier process, or makes the first.
func (t *Table) startTemplates() error {
	limits, err := t.templateTable()
	if err != nil {
		return err
	}
	var table *ebpf.Map
	switch err := t.maps.TemplateEntries.Lookup(uint32(0), &table); {
	case err == nil:
		defer table.Close()
		t.clients.entries = table.MaxEntries()
		if limits.First == 0 && limits.Entries == t.clients.entries {
			return nil
		}
		t.clients.list = true // the earlier process ended while it put another table in force
		return t.setTemplateTable(0, t.clients.entries)
	case !errors.Is(err, ebpf.ErrKeyNotExist):
		return fmt.Errorf("find the templates' expiry entries: %w", err)
	}
	var key abi.BpfTemplateKey
	var template abi.BpfTemplate
	if t.maps.Templates.Iterate().Next(&key, &template) {
		t.clients.list, t.clients.wait = true, time.Now().Add(listAfter)
	}
	return t.growTemplates(templateEntries)
}

// ListTemplates has the next sweep give an expiry entry to each template that has none.
func (t *Table) ListTemplates() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clients.list, t.clients.wait = true, time.Time{}
}

func (t *Table) templateTable() (limits abi.BpfTemplateTable, err error) {
	if err := t.maps.TemplateTables.Lookup(uint32(0), &limits); err != nil {
		return limits, fmt.Errorf("read how many expiry entries templates have: %w", err)
	}
	return limits, nil
}

// setTemplateTable has free entries looked for from the first one on and before n.
func (t *Table) setTemplateTable(first, n uint32) error {
	if err := t.maps.TemplateTables.Put(uint32(0), abi.BpfTemplateTable{First: first, Entries: n}); err != nil {
		return fmt.Errorf("tell how many expiry entries templates have: %w", err)
	}
	return nil
}

// begin begins a sweep of the templates, in place of one that has not ended.
func (c *templates) begin(epoch uint32, all bool) {
	c.sweeping, c.args = true, abi.BpfSweep{Epoch: epoch, Now: Tick()}
	if all {
		c.args.All = 1
	}
}

// sweepTemplates looks at some more expiry entries of templates, and deletes those templates
// whose time is over. It says whether these entries were the last.
func (t *Table) sweepTemplates() (done bool, err error) {
	c := &t.clients
	if c.args.First == 0 && c.live == 0 && !c.list && !t.servers.Persistent() {
		c.sweeping, c.unsure = false, false
		return true, nil
	}
	c.args.Entries, c.args.Due = entriesAtATime, 0
	if _, err := t.programs.Templates.Run(&ebpf.RunOptions{Context: c.args, ContextOut: &c.args}); err != nil {
		return false, fmt.Errorf("sweep the templates: %w", err)
	}
	if c.args.First < c.entries {
		return false, nil
	}
	c.sweeping, c.live = false, c.args.Live
	return true, t.listTemplates()
}

// listTemplates makes more expiry entries where half are taken, and has those templates get
// one that came when none was free.
func (t *Table) listTemplates() error {
	c := &t.clients
	limits, err := t.templateTable()
	if err != nil {
		return err
	}
	c.unsure = c.list || limits.Unlisted > 0
	if time.Now().Before(c.wait) {
		return nil
	}
	most := mostTemplateEntries(t.maps.Templates.MaxEntries())
	if wanted := 2 * (c.live + limits.Unlisted); wanted > c.entries && c.entries < most {
		n := c.entries
		for n < wanted {
			n *= templateGrowth
		}
		if err := t.growTemplates(min(n, most)); err != nil {
			c.wait = time.Now().Add(listAfter)
			return err
		}
	}
	if !c.list && limits.Unlisted == 0 {
		return nil
	}
	args := abi.BpfSweep{Now: Tick()}
	if _, err := t.programs.List.Run(&ebpf.RunOptions{Context: args, ContextOut: &args}); err != nil {
		return fmt.Errorf("list the templates: %w", err)
	}
	c.list = false
	return nil
}

// mostTemplateEntries is how many entries there may be for so many templates.
func mostTemplateEntries(templates uint32) uint32 { return templates/4*5 + 64 }

// growTemplates puts a table of n expiry entries in force. Entries are taken from behind the
// old ones until those have been copied. When the call that puts it in force returns, no
// packet uses the old table any more.
func (t *Table) growTemplates(n uint32) error {
	var old *ebpf.Map
	if err := t.maps.TemplateEntries.Lookup(uint32(0), &old); err == nil {
		defer old.Close()
	} else if !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("find the templates' expiry entries: %w", err)
	}
	table, err := ebpf.NewMap(&ebpf.MapSpec{
		Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(abi.TemplateEntry{})), MaxEntries: n, Flags: unix.BPF_F_INNER_MAP,
	})
	if err != nil {
		return fmt.Errorf("make %d expiry entries for templates: %w", n, err)
	}
	defer table.Close()
	if err := t.setTemplateTable(t.clients.entries, n); err != nil {
		return err
	}
	if err := t.maps.TemplateEntries.Put(uint32(0), table); err != nil {
		return fmt.Errorf("put %d expiry entries of templates in force: %w", n, err)
	}
	if old != nil {
		if err := copyEntries(table, old); err != nil {
			return err
		}
	}
	t.clients.entries, t.clients.list = n, t.clients.list || old != nil
	t.expiry.all = true // what has changed while it was copied is found then
	return t.setTemplateTable(0, n)
}

// copyEntries copies all expiry entries of a table to the front of another.
func copyEntries(to, from *ebpf.Map) error {
	keys, entries := make([]uint32, copyAtATime), make([]abi.TemplateEntry, copyAtATime)
	for cursor, last := new(ebpf.MapBatchCursor), false; !last; {
		n, err := from.BatchLookup(cursor, keys, entries, nil)
		if last = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !last {
			return fmt.Errorf("read the expiry entries of templates: %w", err)
		}
		if n == 0 {
			continue
		}
		if _, err := to.BatchUpdate(keys[:n], entries[:n], nil); err != nil {
			return fmt.Errorf("copy the expiry entries of templates: %w", err)
		}
	}
	return nil
}
