package pool

import (
	"net/netip"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
)

const (
	// silentAfter is how many connections in a row have to get no answer.
	silentAfter = 3
	// A server that was probed for its silence is not probed again for restLeast; while its
	// connections go on to get no answer, for twice as long each time, up to restMost. With
	// SYNs of forged sources the probes pass, and this bounds them. A connection that is
	// answered makes it restLeast again.
	restLeast = 5 * time.Second
	restMost  = time.Minute
)

// silence is what is known of the answers to a member's new connections.
type silence struct {
	unanswered int           // in a row
	rest       time.Duration // after the last probe
	probed     time.Time
}

// Passive says whether a pool has the word passive.
func (all Pools) Passive() bool {
	for _, p := range all {
		if p.conf.Beyond.Passive {
			return true
		}
	}
	return false
}

// Opened has those servers of passive pools asked at once whose last connections got no
// answer, and tells of each. They stay in until they fail to answer.
func (all Pools) Opened(opened []lvs.Opened, now time.Time) (told []cluster.Event) {
	type place struct {
		key    lvs.ServiceKey
		server netip.AddrPort
	}
	of := make(map[place]lvs.Opened, len(opened))
	for _, o := range opened {
		of[place{o.Service, o.Server}] = o
	}
	for _, p := range all {
		if !p.conf.Beyond.Passive {
			continue
		}
		for _, m := range p.members {
			for _, key := range p.keys {
				o, some := of[place{key, as(m.server, key).AddrPort()}]
				if some && m.in() && m.silent(o, now) {
					told = append(told, cluster.ServerSilent(p.name, m.server.AddrPort(), m.silence.unanswered))
					m.silence.unanswered = 0
				}
			}
		}
	}
	return told
}

// silent counts a member's new connections, and says whether it is probed for them.
func (m *member) silent(o lvs.Opened, now time.Time) bool {
	s := &m.silence
	if o.Answered > 0 {
		*s = silence{rest: min(s.rest, restLeast), probed: s.probed}
		return false
	}
	if s.unanswered += o.Unanswered; s.unanswered < silentAfter || now.Sub(s.probed) < s.rest {
		return false
	}
	s.rest, s.probed = min(max(2*s.rest, restLeast), restMost), now
	return m.eachToAsk(func(c *Checker) { c.runner.Probe() })
}
