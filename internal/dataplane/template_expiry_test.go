package dataplane

import (
	"fmt"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/lvs"
)

// clients opens a connection for each of n clients.
func (b *bench) clients(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		f := syn(1024)
		f.from = fmt.Sprintf("198.18.%d.%d:1024", i>>8, i&255)
		b.pick(t, places[0], f)
	}
}

func (b *bench) sweepTemplates(t *testing.T) {
	t.Helper()
	if err := b.conns.Sweep(false); err != nil {
		t.Fatal(err)
	}
}

// listed counts the templates, and the expiry entries that are taken.
func (b *bench) listed(t *testing.T) (templates, entries int) {
	t.Helper()
	b.eachTemplateEntry(t, func(e *abi.TemplateEntry) {
		if e.Taken != 0 {
			entries++
		}
	})
	return b.templates(t), entries
}

// More templates come at once than there are expiry entries: the sweep makes more, and then
// every template has one, leaves when its time is over, and gives it back.
func TestTemplatesOutgrowTheirEntries(t *testing.T) {
	withPlane(t, persistent(twoServers(lvs.RoundRobin)), func(b *bench) {
		const n = 6000
		b.clients(t, n)
		if templates, entries := b.listed(t); templates != n || entries >= n {
			t.Fatalf("%d templates have %d entries, want %d, and fewer entries", templates, entries, n)
		}
		b.sweepTemplates(t)
		if templates, entries := b.listed(t); templates != n || entries != n {
			t.Fatalf("%d templates have %d entries, want %d and as many", templates, entries, n)
		}
		b.sweepTemplates(t) // what has got its entry is found to be live
		b.goBy(t, ticks(400*time.Second))
		b.sweepTemplates(t)
		b.sweepTemplates(t)
		if templates, entries := b.listed(t); templates != 0 || entries != 0 {
			t.Errorf("%d templates and %d entries are left", templates, entries)
		}
		b.wantLoads(t, "192.0.2.11: 0 active, 0 inactive, 0 templates", "192.0.2.12: 0 active, 0 inactive, 0 templates")
	})
}

// Templates of a version that gave them no expiry entries stay, count for their servers, and
// leave when their time is over, once they have been listed.
func TestTemplatesOfAVersionWithoutEntries(t *testing.T) {
	whole := persistent(twoServers(lvs.RoundRobin))
	withPlane(t, whole, func(b *bench) {
		b.clients(t, 10)
		older[abi.BpfTemplateKey](t, b.maps.Templates, func(t *abi.BpfTemplate) { t.Expiry &= 1 })
		b.eachTemplateEntry(t, func(e *abi.TemplateEntry) { *e = abi.TemplateEntry{} })
		b.conns.ListTemplates()
		b.set(t, without(whole, 1))
		b.sweepTemplates(t)
		if templates, entries := b.listed(t); templates != 10 || entries != 10 {
			t.Fatalf("%d templates have %d entries, want 10 and 10", templates, entries)
		}
		b.goBy(t, ticks(200*time.Second))
		b.sweepTemplates(t)
		b.sweepTemplates(t)
		if services, servers := b.known(t); services != 1 || servers != 2 {
			t.Errorf("%d services and %d servers are known, want 1 and both", services, servers)
		}
		b.goBy(t, ticks(400*time.Second))
		b.wantNoTemplates(t)
	})
}

// A template that is used stays past the time that its entry knows.
func TestUsedTemplateStays(t *testing.T) {
	withPlane(t, persistent(twoServers(lvs.RoundRobin)), func(b *bench) {
		b.wantPicks(t, 1, "rs2")
		for range 4 {
			b.goBy(t, ticks(200*time.Second))
			b.wantPicks(t, 1, "rs2")
			b.sweepTemplates(t)
		}
		if n := b.templates(t); n != 1 {
			t.Fatalf("there are %d templates, want 1", n)
		}
		b.eachTemplateEntry(t, func(e *abi.TemplateEntry) {
			if e.Taken != 0 && int32(e.Due-conn.Tick()) < int32(ticks(90*time.Second)) {
				t.Errorf("the entry is due in %d ticks", int32(e.Due-conn.Tick()))
			}
		})
	})
}
