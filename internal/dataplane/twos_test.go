package dataplane

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"weir/internal/sched"
	"weir/lvs"
	"weir/test/conformance"
)

// TestGoldenByLot replays the scenarios in which the real IPVS drew lots: each
// server's total is within five standard deviations of the recorded one, and 0
// where that is.
func TestGoldenByLot(t *testing.T) {
	scenarios, err := conformance.Load("../../test/conformance/testdata/random")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			name := fmt.Sprintf("lot%d", i)
			onNetwork(t, goldenNetwork(t, name), name, 1<<12, func(b *bench) { b.replay(t, s, compareTotals) })
		})
	}
}

// compareTotals compares how often each server was picked for a flow.
func compareTotals(got, want []string) (differs string) {
	count := func(picks []string) map[string]float64 {
		n := map[string]float64{}
		for _, p := range picks {
			n[p]++
		}
		return n
	}
	g, w := count(got), count(want)
	for _, server := range []string{"rs1", "rs2", "rs3"} {
		p := w[server] / float64(len(want))
		deviation := math.Sqrt(2 * float64(len(want)) * p * (1 - p)) // of the difference of two draws
		if math.Abs(g[server]-w[server]) > 5*deviation {
			differs += fmt.Sprintf("%s: got %v, want about %v; ", server, g[server], w[server])
		}
	}
	if len(g) > len(w) {
		differs += fmt.Sprintf("got %v, want only %v", g, w)
	}
	return differs
}

// twos draws by lot, so that the program can only be held to the model's odds:
// over random servers and connections that come and go, each server gets as many
// as the odds add up to, within five standard deviations, and none that the model
// rules out. The seed is printed.
func TestTwosFollowsTheModelsOdds(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	servers := randomServers(r)
	withPlane(t, planOf(virtual(lvs.TCP, vip4, lvs.PowerOfTwoChoices, servers...)), func(b *bench) {
		got, want, variance := map[string]float64{}, map[string]float64{}, map[string]float64{}
		for port := 1; port <= 1000; port++ {
			odds := twosOdds(b.loadsOf(t, servers))
			for server, p := range odds {
				want[server] += p
				variance[server] += p * (1 - p)
			}
			pick := b.pick(t, places[port%2], syn(port))
			if odds[pick] == 0 {
				t.Fatalf("connection %d went to %s, odds %v", port, pick, odds)
			}
			got[pick]++
			b.churn(t, r, port)
		}
		for server := range want {
			t.Logf("%s: %v connections, expected %.1f", server, got[server], want[server])
			if d := math.Abs(got[server] - want[server]); d > 5*math.Sqrt(variance[server])+1e-6 {
				t.Errorf("%s: %v connections, want about %.1f", server, got[server], want[server])
			}
		}
	})
}

// twosOdds are the model's over all lots, by the server's name; "drop" is that
// there is none.
func twosOdds(loads []sched.Load) map[string]float64 {
	odds, lots := map[string]float64{}, sched.Lots(loads)
	each := 1 / float64((lots+1)*(lots+1))
	for one := range lots + 1 {
		for two := range lots + 1 {
			name := "drop"
			if server, ok := sched.PickTwo(loads, one, two); ok {
				name = fmt.Sprintf("rs%d", server)
			}
			odds[name] += each
		}
	}
	return odds
}
