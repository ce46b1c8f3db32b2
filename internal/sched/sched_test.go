package sched

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/lvs"
)

// The cycles that a real kernel 6.1 has shown, for servers rs1, rs2, … with these weights,
// added in this order.
func TestTableIsTheKernelsCycle(t *testing.T) {
	tests := []struct {
		name      string
		scheduler lvs.Scheduler
		weights   []int
		want      string
	}{
		{"rr begins with the server added last", lvs.RoundRobin, []int{1, 1, 1}, "rs3 rs2 rs1"},
		{"rr ignores weights but 0", lvs.RoundRobin, []int{5, 0, 1}, "rs3 rs1"},
		{"wrr begins in the middle of its cycle", lvs.WeightedRoundRobin, []int{4, 3, 2}, "rs3 rs2 rs1 rs1 rs2 rs1 rs3 rs2 rs1"},
		{"wrr 2, 3, 4", lvs.WeightedRoundRobin, []int{2, 3, 4}, "rs3 rs2 rs1 rs3 rs3 rs2 rs3 rs2 rs1"},
		{"wrr 7, 5, 3, 2", lvs.WeightedRoundRobin, []int{7, 5, 3, 2}, "rs4 rs3 rs2 rs1 rs1 rs1 rs2 rs1 rs2 rs1 rs3 rs2 rs1 rs4 rs3 rs2 rs1"},
		{"wrr 10, 20, 30", lvs.WeightedRoundRobin, []int{10, 20, 30}, "rs3 rs2 rs1 rs3 rs3 rs2"},
		{"wrr 1, 0, 5", lvs.WeightedRoundRobin, []int{1, 0, 5}, "rs3 rs1 rs3 rs3 rs3 rs3"},
		{"wrr with one server", lvs.WeightedRoundRobin, []int{3}, "rs1"},
		{"wrr of the seed", lvs.WeightedRoundRobin, []int{1, 2}, "rs2 rs1 rs2"},
		{"wrr leaves a quiesced server out", lvs.WeightedRoundRobin, []int{1, 0, 1}, "rs3 rs1"},
		{"wrr divides by the common divisor", lvs.WeightedRoundRobin, []int{10, 20}, "rs2 rs1 rs2"},
		{"no servers", lvs.WeightedRoundRobin, nil, ""},
		{"all quiesced", lvs.WeightedRoundRobin, []int{0, 0}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := New(tt.scheduler, servers(tt.weights))
			if err != nil {
				t.Fatal(err)
			}
			if got := names(inOrder(l.Cycle)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A cycle gives each server as many turns as its weight divided by the greatest common
// divisor of all weights, whether it is laid out or not.
func TestCycleSplitsByWeight(t *testing.T) {
	for _, tt := range []struct {
		name    string
		weights []int
		want    []int // turns, in the order in which they were added
		long    bool  // too long to be laid out
	}{
		{"no common divisor", []int{7, 3, 12, 1, 0, 5}, []int{7, 3, 12, 1, 0, 5}, false},
		{"divided", []int{30, 0, 20}, []int{3, 0, 2}, false},
		{"the longest table", []int{65535, 1}, []int{65535, 1}, false},
		{"one turn too many", []int{65535, 2}, []int{65535, 2}, true},
		{"the largest weights", []int{1<<31 - 1, 1}, []int{1<<31 - 1, 1}, true},
		{"large, but alike", []int{1<<31 - 1, 1<<31 - 1}, []int{1, 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := New(lvs.WeightedRoundRobin, servers(tt.weights))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]int, len(tt.weights))
			for _, s := range l.Cycle.Shares {
				got[s.Server-1] = int(s.Turns)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the shares are %v, want %v", got, tt.want)
			}
			if l.Cycle.Turns == nil != tt.long {
				t.Fatalf("%d turns are laid out", len(l.Cycle.Turns))
			}
			turns := make([]int, len(tt.weights))
			for _, turn := range l.Cycle.Turns {
				turns[l.Cycle.Shares[turn.Place-1].Server-1]++
			}
			if !tt.long && !slices.Equal(turns, tt.want) {
				t.Errorf("one cycle has %v, want %v", turns, tt.want)
			}
		})
	}
}

// model is the plain model of rr or wrr.
type model interface {
	Changed(servers []Server)
	Next(full func(server uint32) bool) (server uint32, ok bool)
}

// Cycles that are laid out anew after each of many random edits agree with the plain
// models. The seed is printed.
func TestCyclesAgreeWithTheModel(t *testing.T) {
	for scheduler, m := range map[lvs.Scheduler]func() model{
		lvs.RoundRobin:         func() model { return &Ring{} },
		lvs.WeightedRoundRobin: func() model { return &Mark{} },
	} {
		t.Run(string(scheduler), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 0))
			for range 300 {
				h := &history{r: r, scheduler: scheduler, model: m()}
				h.play(t)
			}
		})
	}
}

// history is a service whose servers are edited between its connections.
type history struct {
	r         *rand.Rand
	scheduler lvs.Scheduler
	model     model
	servers   []Server
	added     uint32
	layout    *Layout
	cursor    uint64
}

func (h *history) play(t *testing.T) {
	for range 30 {
		h.edit()
		l, err := Edit(h.scheduler, h.servers, h.layout, h.cursor, MaxSlots)
		if err != nil {
			t.Fatal(err)
		}
		h.layout, h.cursor = l, l.Cycle.First
		h.model.Changed(h.servers)
		for range h.r.IntN(2 * (len(l.Cycle.Turns) + 1)) {
			want, ok := h.model.Next(func(uint32) bool { return false })
			if !ok && len(l.Cycle.Turns) == 0 {
				continue
			}
			turn := l.Cycle.Turns[h.cursor%uint64(len(l.Cycle.Turns))]
			if got := l.Cycle.Shares[turn.Place-1].Server; !ok || got != want {
				t.Fatalf("got server %d, want %d (%v); servers %+v", got, want, ok, h.servers)
			}
			h.cursor++
		}
	}
}

// edit adds, removes or changes one server, or edits one without changing it.
func (h *history) edit() {
	weight := h.r.IntN(4) * (1 + h.r.IntN(3))
	if len(h.servers) == 0 || h.r.IntN(4) == 0 && len(h.servers) < 6 {
		h.added++
		h.servers = append(h.servers, Server{Index: h.added, Weight: weight})
		return
	}
	i := h.r.IntN(len(h.servers))
	h.servers = slices.Clone(h.servers)
	switch h.r.IntN(3) {
	case 0:
		h.servers = slices.Delete(h.servers, i, i+1)
	case 1:
		h.servers[i].Edits++
	case 2:
		h.servers[i].Weight = weight
	}
}

func TestTableRefusesWhatItCannotLayOut(t *testing.T) {
	if _, err := New("nosuch", nil); err == nil {
		t.Error("an unknown scheduler has a table")
	}
	_, err := New(lvs.RoundRobin, make([]Server, MaxSlots+1))
	if err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("got %v, want the bound named", err)
	}
}

func servers(weights []int) (list []Server) {
	for i, w := range weights {
		list = append(list, Server{Index: uint32(i + 1), Weight: w})
	}
	return list
}

func names(slots []uint32) string {
	var b []string
	for _, s := range slots {
		b = append(b, "rs"+string('0'+rune(s)))
	}
	return strings.Join(b, " ")
}

// inOrder lists a cycle's servers from its First on.
func inOrder(c *Cycle) (servers []uint32) {
	for i := range c.Turns {
		turn := c.Turns[(int(c.First)+i)%len(c.Turns)]
		servers = append(servers, c.Shares[turn.Place-1].Server)
	}
	return servers
}
