package dataplane

import (
	"fmt"
	"testing"
	"time"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// A client whose server has left gets another one, and keeps that when the first is back;
// there his template is counted until its time is over, as in the kernel.
func TestTemplateOfAServerThatLeft(t *testing.T) {
	whole := persistent(twoServers(lvs.RoundRobin))
	withPlane(t, whole, func(b *bench) {
		b.wantPicks(t, 1, "rs2")
		b.set(t, without(whole, 1))
		b.wantPicks(t, 2, "rs1")
		b.set(t, whole)
		b.wantPicks(t, 3, "rs1")
		b.wantLoads(t, "192.0.2.11: 2 active, 0 inactive, 1 templates", "192.0.2.12: 1 active, 0 inactive, 1 templates")
		b.sweepEach(t)
		b.wantLoads(t, "192.0.2.11: 2 active, 0 inactive, 1 templates", "192.0.2.12: 1 active, 0 inactive, 1 templates")
		b.goBy(t, ticks(200*time.Second))
		b.wantPicks(t, 4, "rs1")
		b.goBy(t, ticks(101*time.Second))
		b.sweepEach(t)
		b.wantLoads(t, "192.0.2.11: 0 active, 0 inactive, 1 templates", "192.0.2.12: 0 active, 0 inactive, 0 templates")
		b.wantPicks(t, 5, "rs1")
		b.goBy(t, ticks(400*time.Second))
		b.wantNoTemplates(t)
	})
}

// Servers that leave again and again leave no more templates of a client than there are
// places, and at the end none.
func TestTemplatesOfServersThatLeaveAgainAndAgain(t *testing.T) {
	whole := persistent(twoServers(lvs.RoundRobin))
	withPlane(t, whole, func(b *bench) {
		for i := range 30 {
			b.set(t, without(whole, i%2))
			b.wantPicks(t, 1+i, fmt.Sprint("rs", 2-i%2))
			b.set(t, whole)
		}
		if n := b.templates(t); n != 8 {
			t.Errorf("there are %d templates, want 8", n)
		}
		b.goBy(t, ticks(400*time.Second))
		b.wantNoTemplates(t)
	})
}

// Where the service asks for it, what a removed server had ends with it: should it be back
// at once, it begins with nothing.
func TestRemovedServerLetsGo(t *testing.T) {
	whole := persistent(twoServers(lvs.RoundRobin))
	whole.Services[0].Rules.ExpireNoDest = true
	for _, gone := range []lvs.Plan{without(whole, 1), planOf()} {
		t.Run(fmt.Sprint(len(gone.Services), " services"), func(t *testing.T) {
			withPlane(t, whole, func(b *bench) {
				b.wantPicks(t, 1, "rs2")
				b.send(t, places[0], syn(1).with("A"), back)
				b.set(t, gone)
				b.wantDue(t)
				b.set(t, whole)
				b.wantLoads(t, "192.0.2.11: 0 active, 0 inactive, 0 templates", "192.0.2.12: 0 active, 0 inactive, 0 templates")
				b.send(t, places[0], syn(1).with("A"), pass) // for the stack to reset
				b.wantNoTemplates(t)
			})
		})
	}
}

// without is the plan without one of the first service's servers.
func without(plan lvs.Plan, i int) lvs.Plan {
	plan.Services = append([]lvs.VirtualServer{}, plan.Services...)
	list := plan.Services[0].RealServers
	plan.Services[0].RealServers = append(append([]lvs.RealServer{}, list[:i]...), list[i+1:]...)
	return plan
}

func (b *bench) wantPicks(t *testing.T, port int, want string) {
	t.Helper()
	if got := b.picks(t, places[0], port, 1); got != want {
		t.Errorf("connection %d went to %s, want %s", port, got, want)
	}
}

// wantLoads expects these of the servers that are present, in any order.
func (b *bench) wantLoads(t *testing.T, want ...string) {
	t.Helper()
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range stats.Servers {
		if s.Present {
			got[fmt.Sprintf("%s: %d active, %d inactive, %d templates", s.Server.Addr, s.Active, s.Inactive, s.Persistent)] = true
		}
	}
	for _, w := range want {
		if !got[w] {
			t.Errorf("there is no %s in %v", w, got)
		}
	}
}

func (b *bench) templates(t *testing.T) (n int) {
	t.Helper()
	var key abi.BpfTemplateKey
	var template abi.BpfTemplate
	all := b.maps.Templates.Iterate()
	for all.Next(&key, &template) {
		n++
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantNoTemplates sweeps what is over, and expects no template to be left, nor counted.
func (b *bench) wantNoTemplates(t *testing.T) {
	t.Helper()
	for range 10 { // one place is given back at a time
		b.sweepEach(t)
	}
	if n := b.templates(t); n != 0 {
		t.Errorf("%d templates are left", n)
	}
	stats, err := b.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats.Servers {
		if s.Persistent != 0 {
			t.Errorf("%s counts %d templates", s.Server.Addr, s.Persistent)
		}
	}
}
