package sched

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/test/conformance"
)

// The plain model of lblc and lblcr picks the servers that the real kernel picked.
func TestLocalityIsTheKernels(t *testing.T) {
	all, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, s := range all {
		if !strings.HasPrefix(s.Name, "lblc") {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			p := localityPlayer{cache: Cache{Replicated: strings.HasPrefix(s.Name, "lblcr-")}, counts: map[uint32]*Load{}}
			for _, step := range s.Steps {
				p.play(t, step)
			}
			played += p.played
		})
	}
	if played < 200 {
		t.Errorf("the scenarios had %d connections, want at least 200", played)
	}
}

// localityPlayer is the state of a scenario. A server that is removed keeps its counts.
type localityPlayer struct {
	cache  Cache
	list   []uint32 // in the order in which they were added
	counts map[uint32]*Load
	played int
}

func (p *localityPlayer) play(t *testing.T, step conformance.Step) {
	t.Helper()
	switch words := step.Words; words[0] {
	case "ipvsadm":
		i := slices.Index(words, "-r")
		if i < 0 {
			return
		}
		b := netip.MustParseAddrPort(words[i+1]).Addr().As16()
		p.edit(words[1], uint32(b[15]), weightIn(words))
	case "tcp", "udp":
		flows, err := step.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			p.connect(t, f, words[0] == "tcp" && slices.Contains(words, "hold"))
		}
	}
}

func (p *localityPlayer) edit(verb string, index uint32, weight int) {
	if p.counts[index] == nil {
		p.counts[index] = &Load{Server: Server{Index: index}}
	}
	p.counts[index].Weight = weight
	switch verb {
	case "-a":
		p.list = append(p.list, index)
	case "-d":
		p.list = without(p.list, index)
	}
}

func (p *localityPlayer) connect(t *testing.T, f conformance.Flow, hold bool) {
	t.Helper()
	for i, want := range f.Picks {
		var loads []Load
		for _, index := range p.list {
			loads = append(loads, *p.counts[index])
		}
		for index, l := range p.counts {
			if !slices.Contains(p.list, index) {
				gone := *l
				gone.Gone = true
				loads = append(loads, gone)
			}
		}
		got := "refused"
		index, ok := p.cache.Pick(f.To.Addr(), loads, 0)
		if ok {
			got = fmt.Sprintf("rs%d", index)
		}
		if got != want {
			t.Fatalf("%s -> %s, connection %d: got %s, want %s", f.From, f.To, i+1, got, want)
		}
		p.played++
		switch {
		case !ok:
		case hold:
			p.counts[index].Active++
		default:
			p.counts[index].Inactive++
		}
	}
}

// A set that has not changed for a day loses its most loaded server.
func TestASetShrinksAfterADay(t *testing.T) {
	c, to := Cache{Replicated: true}, netip.MustParseAddr("10.8.0.1")
	loads := []Load{{Server: Server{Index: 1, Weight: 1}}, {Server: Server{Index: 2, Weight: 1}}}
	pick := func(now time.Duration) uint32 {
		index, ok := c.Pick(to, loads, now)
		if !ok {
			t.Fatal("no server")
		}
		return index
	}
	pick(0)
	loads[1].Active = 2 // rs2 is overloaded: rs1 joins it
	if got := pick(0); got != 1 || !slices.Equal(c.lines[to].servers, []uint32{1, 2}) {
		t.Fatalf("got rs%d and the set %v, want rs1 and rs1 rs2", got, c.lines[to].servers)
	}
	for _, tt := range []struct {
		now  time.Duration
		want []uint32
	}{{24 * time.Hour, []uint32{1, 2}}, {24*time.Hour + 1, []uint32{1}}, {96 * time.Hour, []uint32{1}}} {
		pick(tt.now)
		if got := c.lines[to].servers; !slices.Equal(got, tt.want) {
			t.Errorf("after %s: the set is %v, want %v", tt.now, got, tt.want)
		}
	}
}
