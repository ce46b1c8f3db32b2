package sched

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/lvs"
	"weir/test/conformance"
)

// The plain model of mh picks the servers that the real kernel picked, in every scenario in
// which no server becomes full, so that a client's server depends on nothing before it.
func TestMaglevIsTheKernels(t *testing.T) {
	all, err := conformance.Load("../../test/conformance/testdata/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	played := 0
	for _, s := range all {
		if !strings.HasPrefix(s.Name, "mh-") || s.Name == "mh-threshold" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			p := maglevPlayer{weights: map[uint32]int{}}
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

// maglevPlayer is the state of a scenario.
type maglevPlayer struct {
	layout         *Layout
	servers        []Server
	weights        map[uint32]int
	port, fallback bool
	played         int
}

func (p *maglevPlayer) play(t *testing.T, step conformance.Step) {
	t.Helper()
	option := func(name string) string {
		if i := slices.Index(step.Words, name); i >= 0 {
			return step.Words[i+1]
		}
		return ""
	}
	switch step.Words[0] {
	case "ipvsadm":
		p.port = p.port || strings.Contains(option("-b"), "mh-port")
		p.fallback = p.fallback || strings.Contains(option("-b"), "mh-fallback")
		if at := option("-r"); at != "" {
			p.edit(t, step.Words[1], netip.MustParseAddrPort(at), option("-w"))
		}
	case "tcp", "udp":
		flows, err := step.Flows()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range flows {
			p.check(t, f, slices.Contains(step.Words, "same"))
		}
	}
}

// edit is ipvsadm's -a, -e or -d of a server.
func (p *maglevPlayer) edit(t *testing.T, verb string, at netip.AddrPort, weight string) {
	t.Helper()
	s := Server{Addr: at, Weight: 1}
	b := at.Addr().As16()
	s.Index = uint32(b[15]) // rs2 is 10.0.2.2
	if _, err := fmt.Sscan(weight, &s.Weight); err != nil && weight != "" {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.servers, func(s Server) bool { return s.Addr == at })
	switch verb {
	case "-a":
		p.servers = append(p.servers, s)
	case "-e":
		p.servers[i].Weight = s.Weight
	case "-d":
		p.servers = slices.Delete(p.servers, i, i+1)
	}
	p.weights[s.Index] = s.Weight
	l, err := Edit(lvs.MaglevHash, p.servers, p.layout, 0, MaxSlots)
	if err != nil {
		t.Fatal(err)
	}
	p.layout = l
}

func (p *maglevPlayer) check(t *testing.T, f conformance.Flow, samePort bool) {
	t.Helper()
	for i, want := range f.Picks {
		client := netip.AddrPortFrom(f.From.Addr(), 0)
		if p.port {
			client = f.From
			if !samePort {
				client = netip.AddrPortFrom(f.From.Addr(), f.From.Port()+uint16(i))
			}
		}
		got := "refused"
		server, ok := PickMaglev(p.layout, client, p.fallback, func(s uint32) bool { return p.weights[s] > 0 })
		if ok {
			got = names([]uint32{server})
		}
		if got != want {
			t.Errorf("%s, connection %d: got %s, want %s", f.From, i+1, got, want)
		}
		p.played++
	}
}

func TestMaglevRefusesWhatItCannotLayOut(t *testing.T) {
	if _, err := New(lvs.MaglevHash, make([]Server, mhSlots+1)); err == nil {
		t.Error("more servers than slots have a table")
	}
}
