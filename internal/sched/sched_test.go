package sched

import (
	"slices"
	"strings"
	"testing"

	"weir/lvs"
)

// The picks that a real kernel 6.1 made, for servers rs1, rs2, … with these
// weights, added in this order.
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
			if got := names(l.Slots); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTableSplitsByWeight(t *testing.T) {
	weights := []int{7, 3, 12, 1, 0, 5}
	l, err := New(lvs.WeightedRoundRobin, servers(weights))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]int, len(weights))
	for _, s := range l.Slots {
		got[s-1]++
	}
	if !slices.Equal(got, weights) {
		t.Errorf("one cycle has %v, want %v", got, weights)
	}
}

func TestTableRefusesWhatItCannotLayOut(t *testing.T) {
	_, err := New(lvs.WeightedRoundRobin, servers([]int{1 << 30, 1}))
	if err == nil || !strings.Contains(err.Error(), "at most 65536") {
		t.Errorf("got %v, want the bound named", err)
	}
	if _, err := New("nosuch", nil); err == nil {
		t.Error("an unknown scheduler has a table")
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
