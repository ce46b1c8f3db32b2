package pool

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"weir/conf"
	"weir/internal/check"
)

// weights are the servers of the first service with their weights.
func (b *bed) weights() string {
	var all []string
	for _, rs := range b.pools[0].Services()[0].RealServers {
		all = append(all, fmt.Sprintf("%s=%d", rs.Addr, rs.Weight))
	}
	return strings.Join(all, " ")
}

// What checks make of a server's weight adds up; what a failed one made of it is gone. A
// reload keeps it, and the configured weight may become another one.
func TestWeightsOfChecks(t *testing.T) {
	one := func(weight int) conf.RealServer {
		return weighing(server("192.0.2.11", tcp(80, 1), tcp(81, 1)), weight)
	}
	b := newBed(before{}, one(10))
	absolute := func(n int) check.Weight { return check.Weight{Absolute: true, N: n} }
	for _, step := range []struct {
		what    string
		check   int
		verdict check.Verdict
		event   string
		want    string
	}{
		{"the first says 7", 0, check.Verdict{Up: true, Weight: absolute(7)}, "10 7", "192.0.2.11=7"},
		{"again", 0, check.Verdict{Up: true, Weight: absolute(7)}, "", "192.0.2.11=7"},
		{"the second adds 5", 1, check.Verdict{Up: true, Weight: check.Weight{N: 5}}, "7 12", "192.0.2.11=12"},
		{"the first says 0", 0, check.Verdict{Up: true, Weight: absolute(0)}, "12 5", "192.0.2.11=5"},
		{"the second takes 9", 1, check.Verdict{Up: true, Weight: check.Weight{N: -9}}, "5 0", "192.0.2.11=0"},
		{"the second adds all there is", 1, check.Verdict{Up: true, Weight: check.Weight{N: math.MaxInt32}}, "0 2147483647", "192.0.2.11=2147483647"},
		{"the second fails", 1, check.Verdict{Reason: errors.New("bad")}, "up down", ""},
		{"the first says 3 meanwhile", 0, check.Verdict{Up: true, Weight: absolute(3)}, "", ""},
		{"the second is good again", 1, check.Verdict{Up: true}, "down up", "192.0.2.11=3"},
	} {
		got := ""
		if e := b.pools[0].members[0].checkers[step.check].Judge(step.verdict); e != nil {
			got = e.From + " " + e.To
		}
		if got != step.event || b.weights() != step.want {
			t.Errorf("%s: event %q, servers %q, want %q, %q", step.what, got, b.weights(), step.event, step.want)
		}
	}
	b.become(virtual(80, one(20)))
	if got := b.weights(); got != "192.0.2.11=3" {
		t.Errorf("with another configured weight: %s, want that of the check", got)
	}
	b.become(virtual(80, weighing(server("192.0.2.11", tcp(80, 2), tcp(81, 1)), 20)))
	if got := b.weights(); got != "192.0.2.11=3" {
		t.Errorf("with a check at other times: %s, want that of the check", got)
	}
}

// With inhibit_on_failure a server that is down stays with weight 0.
func TestInhibitOnFailure(t *testing.T) {
	inhibited := server("192.0.2.11", tcp(80, 1))
	inhibited.InhibitOnFailure = true
	b := newBed(before{}, weighing(inhibited, 3), weighing(server("192.0.2.12", tcp(80, 1)), 4))
	bad := check.Verdict{Reason: errors.New("bad")}
	for i := range 2 {
		b.pools[0].members[i].checkers[0].Judge(bad)
	}
	if got := b.weights(); got != "192.0.2.11=0" {
		t.Errorf("both are down: %q, want the first with weight 0", got)
	}
	b.pools[0].members[0].checkers[0].Judge(check.Verdict{Up: true})
	if got := b.weights(); got != "192.0.2.11=3" {
		t.Errorf("the first is up again: %q", got)
	}
	b.pools[0].members[0].checkers[0].Judge(bad)
	b.become(virtual(80, weighing(server("192.0.2.11", tcp(80, 1)), 3)))
	if got := b.weights(); got != "" {
		t.Errorf("without the word: %q, want nobody", got)
	}
}
