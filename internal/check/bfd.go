package check

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"weir/conf"
	"weir/internal/bfd"
)

// BFD is BFD_CHECK: the server is up while a BFD session is.
type BFD struct {
	Name     string
	Sessions Sessions
}

// Sessions are those of BFD: bfd.Speaker's.
type Sessions interface {
	// Follow is bfd.Speaker.Follow.
	Follow(ctx context.Context, name string, report func(bfd.Status))
}

func newBFD(c conf.Check, shared *Shared) Source { return BFD{c.BFD.Name, shared.BFD} }

func (c BFD) String() string { return string(conf.CheckBFD) + " " + c.Name }

// Run reports what the session says, until ctx ends. A session that has not been up yet
// says nothing: the server begins as alpha says.
func (c BFD) Run(ctx context.Context, report func(Verdict)) error {
	c.Sessions.Follow(ctx, c.Name, func(s bfd.Status) {
		switch {
		case s.Up:
			report(Verdict{Up: true, At: time.Now()})
		case s.Been:
			report(Verdict{Reason: fmt.Errorf("BFD session is down: %s", s.Diagnostic), At: time.Now()})
		}
	})
	return nil
}

// hopLimit6 is keepalived's hop limit of IPv6 packets, which is the least that is taken.
const hopLimit6 = 64

// SessionsOf are the sessions of bfd_instances. Where the file says nothing, IPv6 packets
// leave with the hop limit of RFC 5881, and keepalived's are taken.
func SessionsOf(all []*conf.BFD) []bfd.Config {
	var sessions []bfd.Config
	for _, b := range all {
		c := bfd.Config{
			Name: b.Name, Neighbor: b.Neighbor, Source: b.Source, MinTx: ofMilliseconds(b.MinTx), MinRx: ofMilliseconds(b.MinRx),
			IdleTx: ofMilliseconds(b.IdleTx), Multiplier: uint8(b.Multiplier), Passive: b.Passive, Multihop: b.Multihop,
		}
		ttl, other := given(b, "ttl", b.TTL), given(b, "hoplimit", b.HopLimit)
		least := 255
		if b.Neighbor.Is6() {
			ttl, other, least = other, ttl, hopLimit6
		}
		ttl = cmp.Or(ttl, other)
		if ttl != 0 {
			least = ttl
		}
		c.TTL = uint8(cmp.Or(ttl, 255))
		c.LeastTTL = uint8(max(least-int(uint8(b.MaxHops)), 0)) // -1 is 255 hops: any
		sessions = append(sessions, c)
	}
	return sessions
}

// given is a number that the file gives; 0 is none.
func given(b *conf.BFD, keyword string, n int) int {
	if b.Has(keyword) {
		return n
	}
	return 0
}

func ofMilliseconds(ms float64) time.Duration {
	return time.Duration(ms*1000+0.5) * time.Microsecond
}
