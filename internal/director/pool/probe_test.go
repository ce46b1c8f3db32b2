package pool

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"weir/internal/check"
)

// A real server in doubt gets no new connections while another one does, and keeps those
// that it has; its verdict ends the doubt.
func TestDoubt(t *testing.T) {
	checked := server("192.0.2.11", tcp(80, time.Second), tcp(81, time.Second))
	b := newBed(before{}, checked, server("192.0.2.12", tcp(80, time.Second)), server("192.0.2.13"))
	weights := func() (all []int) {
		for _, rs := range b.pools[0].Services()[0].RealServers {
			all = append(all, rs.Weight)
		}
		return all
	}
	want := func(what string, want ...int) {
		t.Helper()
		if got := weights(); !slices.Equal(got, want) {
			t.Errorf("%s: weights %v, want %v", what, got, want)
		}
	}
	first := b.pools[0].members[0]
	if n := b.pools.Doubt(netip.MustParseAddr("192.0.2.11")); n != 1 {
		t.Errorf("%d are probed, want 1", n)
	}
	want("one in doubt", 0, 1, 1)
	up := check.Verdict{Up: true, At: time.Now(), Tries: 1}
	if e := first.checkers[0].Judge(up); e != nil {
		t.Errorf("after one of two checks: %v", e)
	}
	want("one of its checks has passed", 0, 1, 1)
	if e := first.checkers[1].Judge(up); e == nil || e.Message != "real server answers the probe" {
		t.Errorf("after both checks: %v", e)
	}
	want("both have", 1, 1, 1)
	// A server without a check cannot be asked.
	if n := b.pools.Doubt(netip.MustParseAddr("192.0.2.13")); n != 0 {
		t.Errorf("%d are probed, want none", n)
	}
	b.pools.Doubt(netip.MustParseAddr("192.0.2.12"))
	if e := b.pools[0].members[1].checkers[0].Judge(check.Verdict{Reason: errors.New("no answer within 1s"), At: time.Now(), Tries: 1}); e == nil || e.To != "down" {
		t.Errorf("after a failed probe: %v", e)
	}
	want("one is out", 1, 1)
	if n := b.pools.Doubt(netip.MustParseAddr("192.0.2.12")); n != 0 {
		t.Error("a server that is out is probed")
	}
}

// Where all are in doubt, they go on.
func TestDoubtOfAll(t *testing.T) {
	b := newBed(before{}, server("192.0.2.11", tcp(80, time.Second)))
	b.pools.Doubt(netip.MustParseAddr("192.0.2.11"))
	if got := b.pools[0].Services()[0].RealServers; len(got) != 1 || got[0].Weight != 1 || !b.pools[0].quorum.up {
		t.Errorf("the only one in doubt: %v", got)
	}
}
