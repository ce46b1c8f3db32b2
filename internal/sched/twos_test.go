package sched

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"weir/test/conformance"
)

// The model of twos has the odds of the real kernel: over a scenario, the number of
// connections that the kernel gave each server is within five standard deviations of what
// the model's odds, taken connection by connection, predict.
func TestTwosHasTheKernelsOdds(t *testing.T) {
	all, err := conformance.Load("../../test/conformance/testdata/random")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			loads := []Load{}
			for _, step := range s.Steps {
				switch {
				case slices.Contains(step.Words, "-a"):
					loads = append(loads, Load{Server: Server{Index: uint32(len(loads) + 1), Weight: weightIn(step.Words)}})
				case slices.Contains(step.Words, "-e"): // of the last one, in these scenarios
					loads[len(loads)-1].Weight = weightIn(step.Words)
				case step.Words[0] == "tcp":
					checkOdds(t, loads, step)
				}
			}
		})
	}
}

func weightIn(words []string) (w int) {
	w = 1
	if i := slices.Index(words, "-w"); i >= 0 {
		fmt.Sscan(words[i+1], &w)
	}
	return w
}

// checkOdds goes through the connections of a step, and gives each to the server to which
// the kernel gave it.
func checkOdds(t *testing.T, loads []Load, step conformance.Step) {
	t.Helper()
	flows, err := step.Flows()
	if err != nil {
		t.Fatal(err)
	}
	got, want, variance := map[uint32]float64{}, map[uint32]float64{}, map[uint32]float64{}
	for _, pick := range flows[0].Picks {
		for server, p := range odds(loads) {
			want[server] += p
			variance[server] += p * (1 - p)
		}
		i := pick[len(pick)-1] - '1'
		got[loads[i].Index]++
		if slices.Contains(step.Words, "hold") {
			loads[i].Active++
		} else {
			loads[i].Inactive++
		}
	}
	for _, l := range loads {
		t.Logf("rs%d: %v of %d connections, the model expects %.1f", l.Index, got[l.Index], len(flows[0].Picks), want[l.Index])
		if d := math.Abs(got[l.Index] - want[l.Index]); d > 5*math.Sqrt(variance[l.Index]) {
			t.Errorf("rs%d: %v connections, want about %.1f", l.Index, got[l.Index], want[l.Index])
		}
	}
}

// odds are each server's chance to get the next connection, over all pairs of random
// numbers.
func odds(loads []Load) map[uint32]float64 {
	odds, lots := map[uint32]float64{}, Lots(loads)
	each := 1 / float64((lots+1)*(lots+1))
	for one := range lots + 1 {
		for two := range lots + 1 {
			if server, ok := PickTwo(loads, one, two); ok {
				odds[server] += each
			}
		}
	}
	return odds
}
