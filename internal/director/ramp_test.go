package director

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/sched"
	"weir/lvs"
)

var update = flag.Bool("update", false, "write testdata/slow_start.golden anew")

// shares is what part of the new connections each server of a service gets by the
// scheduler's own table or, where it looks at loads, from idle servers.
func shares(t *testing.T, vs lvs.VirtualServer) map[string]float64 {
	t.Helper()
	var servers []sched.Server
	var loads []sched.Load
	for i, rs := range vs.RealServers {
		servers = append(servers, sched.Server{Index: uint32(i), Weight: rs.Weight, Addr: rs.AddrPort()})
		loads = append(loads, sched.Load{Server: servers[i]})
	}
	l, err := sched.New(vs.Scheduler, servers)
	if err != nil {
		t.Fatal(err)
	}
	var drawn []uint32
	row, _ := sched.RowOf(vs.Scheduler)
	switch {
	case l.Cycle != nil:
		for _, turn := range l.Cycle.Turns {
			drawn = append(drawn, l.Cycle.Shares[turn.Place-1].Server)
		}
	case row.Traits.Hashes:
		drawn = l.Slots
	default:
		for range 5000 {
			i, ok := sched.Pick(vs.Scheduler, loads)
			if !ok {
				t.Fatal("no server")
			}
			loads[i].Active++
			drawn = append(drawn, i)
		}
	}
	all := map[string]float64{}
	for _, i := range drawn {
		all[vs.RealServers[i].Addr.String()] += 1 / float64(len(drawn))
	}
	return all
}

// With slow_start the share of a server that has come in rises in a line to its own, within
// 5 % of its weight, and the others share the rest as before. (The 256 slots of sh round more.)
func TestSlowStart(t *testing.T) {
	const over = 30 * time.Second
	var table strings.Builder
	table.WriteString("Of three servers of weights 2, 1 and 1 the first one comes in; slow_start is 30 s.\n")
	for _, s := range []lvs.Scheduler{lvs.WeightedRoundRobin, lvs.WeightedLeastConnection, lvs.ShortestExpectedDelay, lvs.MaglevHash, lvs.RoundRobin} {
		fmt.Fprintf(&table, "\n%-4s  seconds  ramp   share of all  weight by its share\n", s)
		simulate(t, func(t *testing.T, site *site) {
			slow(t, site, s, over, func(at time.Duration, got, ramp float64) {
				// Its share s of all is w/(w+2) where its weight is w of 2.
				weight := 2 * got / (1 - got) / 2
				fmt.Fprintf(&table, "      %7.1f  %4.0f %%  %10.1f %%  %17.1f %%\n", at.Seconds(), 100*ramp, 100*got, 100*weight)
				if math.Abs(weight-ramp) > 0.05 && s != lvs.RoundRobin {
					t.Errorf("%s after %s: weight %.3f, want %.3f", s, at, weight, ramp)
				}
			})
		})
	}
	name := "testdata/slow_start.golden"
	if *update {
		if err := os.WriteFile(name, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("run go test ./internal/director -run SlowStart -update (-file +now):\n%s", diff)
	}
}

// slow has a server go and come, and tells its share all the time.
func slow(t *testing.T, site *site, s lvs.Scheduler, over time.Duration, tell func(at time.Duration, got, ramp float64)) {
	m := site.segment.Machine("192.0.2.1/24")
	first := server("192.0.2.11", tcp("192.0.2.11:80"))
	first.Weight = 2
	vs := virtual(80, first, server("192.0.2.12"), server("192.0.2.13"))
	vs.Scheduler, vs.Beyond.SlowStart = s, over
	n := site.add(m, services(vs)).start()
	defer n.stop()
	const name = "192.0.2.11"
	share := func() float64 {
		synctest.Wait()
		all := shares(t, m.Plan().Services[0])
		if a, b := all["192.0.2.12"], all["192.0.2.13"]; math.Abs(a-b) > 0.02 {
			t.Errorf("the others' shares are %.3f and %.3f", a, b)
		}
		return all[name]
	}
	time.Sleep(10 * time.Second)
	if got := share(); s != lvs.RoundRobin && math.Abs(got-0.5) > 0.01 {
		t.Errorf("%s: at the start its share is %.2f, want all of it", s, got)
	}
	site.down.set(name+":80", true)
	time.Sleep(20 * time.Second)
	site.down.set(name+":80", false)
	for serving(m) != "192.0.2.11 192.0.2.12 192.0.2.13" && !slices.Contains(strings.Fields(serving(m)), name) {
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	begun := time.Now()
	for at := time.Duration(0); at <= over+over/10; at += over / 15 {
		time.Sleep(time.Until(begun.Add(at)))
		tell(at, share(), min(float64(at)/float64(over), 1))
	}
	if got := m.Plan().Services[0].RealServers; !slices.ContainsFunc(got, func(rs lvs.RealServer) bool { return rs.Weight == 2 }) {
		t.Errorf("in the end the servers are %v, want the weights of the file", got)
	}
}
