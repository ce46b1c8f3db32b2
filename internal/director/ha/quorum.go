package ha

import (
	"net/netip"

	"weir/conf"
)

// Quorum is a virtual server that has lost its quorum.
type Quorum struct {
	Name string
	// Unchecked says that checks which have not been made yet may still give it.
	Unchecked bool
}

// SetQuorums says at which addresses virtual servers have lost their quorums, from the next
// Run, Commit or Judge on.
func (s *Instances) SetQuorums(lost map[netip.Addr]Quorum) { s.quorums = lost }

// quorums is track_quorum of the weir block. A master that goes on after a restart waits for
// checks that have not been made yet; an instance that begins does not count on them.
func (j *judgement) quorums(c conf.VRRPInstance, lost map[netip.Addr]Quorum) {
	weight, tracks := c.Beyond.TrackQuorum.Weight()
	if !tracks {
		return
	}
	good := true
	for _, a := range c.Addresses() {
		q, is := lost[a.Prefix.Addr()]
		j.waiting = j.waiting || is && q.Unchecked && j.waits
		if !is || q.Unchecked && !j.waits {
			continue
		}
		if good = false; weight == 0 {
			j.fail("virtual_server %s has lost its quorum", q.Name)
		}
	}
	if weight != 0 {
		j.weight += weighing{weight: weight}.change(good)
	}
}
