package pool

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/lvs"
)

// spares has servers of a story in tiers: "1 .13 .14" are spare while fewer than 1 of the
// others are in.
func spares(tiers ...string) func(*conf.VirtualServer) {
	return func(vs *conf.VirtualServer) {
		for _, tier := range tiers {
			words := strings.Fields(tier)
			one := conf.SpareTier{Fewer: int(words[0][0] - '0')}
			for _, server := range words[1:] {
				one.Servers = append(one.Servers, netip.MustParseAddrPort("192.0.2"+server+":80"))
			}
			vs.Beyond.Spares = append(vs.Beyond.Spares, one)
		}
	}
}

func sorry(vs *conf.VirtualServer) { vs.SorryServer = netip.MustParseAddrPort("192.0.2.99:80") }

func inhibited(vs *conf.VirtualServer) {
	for i := range vs.RealServers {
		vs.RealServers[i].InhibitOnFailure = true
	}
}

// Spare servers that rest have weight 0; a change of tiers is one change of the table. The
// quorum is that of the servers that take part.
func TestSpareTiers(t *testing.T) {
	type change = func(*conf.VirtualServer)
	quorum := func(n, hysteresis int) change {
		return func(vs *conf.VirtualServer) { vs.Quorum, vs.Hysteresis = n, hysteresis }
	}
	for _, tt := range []struct {
		name    string
		changes []change
		weights []int
		steps   []string
	}{
		{"the last one goes", []change{spares("1 .13")}, []int{1, 1, 1}, []string{
			"+1: .11=1 .12=1 .13=0", "-1: .12=1 .13=0", "-2: .13=1", "+1: .11=1 .13=0", "+2: .11=1 .12=1 .13=0"}},
		{"fewer than two", []change{spares("2 .13 .14")}, []int{1, 1, 5, 6}, []string{
			"-1: .12=1 .13=5 .14=6", "-3: .12=1 .14=6", "+1: .11=1 .12=1 .14=0", "+3: .11=1 .12=1 .13=0 .14=0"}},
		{"two tiers", []change{spares("2 .13", "1 .14")}, []int{1, 1, 1, 1}, []string{
			"-1: .12=1 .13=1 .14=0", "-2: .13=1 .14=0", "-3: .14=1", "-4: lost ", "+4: gained .14=1", "+3: .13=1 .14=0", "+1: .11=1 .13=1 .14=0", "+2: .11=1 .12=1 .13=0 .14=0"}},
		{"a spare one that fails while it rests", []change{spares("1 .12")}, []int{1, 1}, []string{
			"-2: .11=1", "-1: lost ", "+2: gained .12=1", "+1: .11=1 .12=0"}},
		{"weight 0 is not in", []change{spares("1 .12")}, []int{3, 1}, []string{"1=0: .11=0 .12=1", "1=3: .11=3 .12=0"}},
		{"a spare one of weight 0 helps nobody", []change{spares("1 .12", "1 .13")}, []int{1, 0, 1}, []string{"-1: .12=0 .13=1"}},
		{"the sorry server is behind all tiers", []change{sorry, spares("1 .12")}, []int{1, 1}, []string{
			"-1: .12=1", "-2: lost .99=1", "+2: gained .12=1", "+1: .11=1 .12=0"}},
		{"a quorum that the spare ones hold", []change{sorry, quorum(2, 0), spares("2 .13")}, []int{1, 1, 1}, []string{
			"-1: .12=1 .13=1", "-2: lost .99=1", "+1: gained .11=1 .13=1", "+2: .11=1 .12=1 .13=0"}},
		{"a quorum that they do not hold", []change{sorry, quorum(2, 0), spares("1 .13")}, []int{1, 1, 1}, []string{
			"-1: lost .99=1", "-2: .99=1", "+2: .99=1", "+1: gained .11=1 .12=1 .13=0"}},
		{"hysteresis", []change{sorry, quorum(2, 1), spares("3 .14")}, []int{1, 1, 1, 1}, []string{
			"-1: .12=1 .13=1 .14=1", "-2: .13=1 .14=1", "-3: .14=1", "-4: lost .99=1", "+4: .99=1", "+3: .99=1", "+2: gained .12=1 .13=1 .14=1", "+1: .11=1 .12=1 .13=1 .14=0"}},
		{"inhibit_on_failure", []change{sorry, inhibited, spares("1 .12")}, []int{1, 1}, []string{
			"-1: .11=0 .12=1", "-2: lost .11=0 .12=0 .99=1", "+2: gained .11=0 .12=1", "+1: .11=1 .12=0"}},
		{"sorry_server_inhibit", []change{sorry, func(vs *conf.VirtualServer) { vs.SorryInhibit = true }, spares("1 .12")}, []int{1, 1}, []string{
			"-1: .12=1 .99=0", "+1: .11=1 .12=0 .99=0"}},
		{"sh has none of weight 0 for it", []change{inhibited, func(vs *conf.VirtualServer) { vs.Scheduler = lvs.SourceHash }, spares("1 .12")}, []int{1, 1}, []string{
			"+1: .11=1", "-1: .11=0 .12=1", "+1: .11=1"}},
		{"a spare one is the sorry server, too", []change{func(vs *conf.VirtualServer) { vs.SorryServer = netip.MustParseAddrPort("192.0.2.12:80") }, spares("1 .12")}, []int{1, 1}, []string{
			"-1: .12=1", "-2: lost .12=1", "+1: gained .11=1", "+2: .11=1 .12=0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, func(vs *conf.VirtualServer) {
				for _, change := range tt.changes {
					change(vs)
				}
			}, tt.weights, tt.steps...)
		})
	}
}

// That spare servers begin and end to take part is told once, by a verdict or by a reload.
func TestSpareTiersAreTold(t *testing.T) {
	vs := virtual(80, server("192.0.2.11", tcp(80, 1)), server("192.0.2.12", tcp(80, 1)))
	vs.Quorum = 1
	spares("1 .12")(&vs)
	b := bedOf(before{}, vs)
	c := b.pools[0].members[0].checkers[0]
	told := func(events []cluster.Event) (all []string) {
		for _, e := range events {
			if e.Kind == cluster.SpareTierChanged {
				all = append(all, e.Detail("tier")+" "+e.Detail("state"))
			}
		}
		return all
	}
	for _, step := range []struct {
		up   bool
		want []string
	}{{false, []string{"1 serving"}}, {true, []string{"1 resting"}}} {
		v := check.Verdict{Up: step.up}
		if !step.up {
			v.Reason = errUnchecked{}
		}
		c.Judge(v)
		if got := told(c.Tiers()); !slices.Equal(got, step.want) {
			t.Errorf("up %v: %v is told, want %v", step.up, got, step.want)
		}
		if got := c.Tiers(); got != nil {
			t.Errorf("%v is told again", got)
		}
	}
	listed := b.pools.Read().Finish(Counts{})[0].Servers
	if s := listed[1]; s.Weight != 0 || s.Why != "spare: rests until fewer than 1 servers of the tiers before it are in" || listed[0].Why != "" {
		t.Errorf("listed are %+v", listed)
	}
	more := vs
	more.Beyond.Spares = nil
	spares("2 .12")(&more)
	b.become(more)
	if got := told(b.pools.Quorums()); !slices.Equal(got, []string{"1 serving"}) || b.weights() != "192.0.2.11=1 192.0.2.12=1" {
		t.Errorf("a reload with 2 instead of 1: told %v, servers %s", got, b.weights())
	}
}
