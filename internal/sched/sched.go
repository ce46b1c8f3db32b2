// Package sched lays out, for each service, the table that the data plane
// schedules by. For rr and wrr one pass over it is one cycle of the kernel's
// scheduler; for dh, sh and mh it is indexed by a hash; for those that scan (lc,
// wlc, sed, nq, fo, ovf) it is the list of servers, and Pick is their plain Go
// model.
package sched

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/lvs"
)

// MaxSlots bounds a table.
const MaxSlots = 65536

// Server is a destination as a scheduler sees it.
type Server struct {
	Index  uint32 // its number in the data plane
	Weight int    // 0: quiesced
	Edits  int    // how often it was edited: an edit moves wrr's turn
	Addr   netip.AddrPort
	// lastWeight is the last weight that an edit gave it which was not 0
	// (last_weight of struct ip_vs_dest): mh goes by it.
	lastWeight int
}

// same says whether two are the same server, with the same settings.
func (s Server) same(other Server) bool {
	s.lastWeight, other.lastWeight = 0, 0
	return s == other
}

// Layout is a service's table, and what is needed to go on from it after an
// edit as the kernel would.
type Layout struct {
	Scheduler lvs.Scheduler
	// Slots are drawn from in turn, each a server's index.
	Slots []uint32
	// list is IPVS's list of the servers: the one added last stands first.
	list []Server
	// thresholds are wrr's, slot by slot, and threshold the one before the first.
	thresholds []int
	threshold  int
}

// builders lay out each scheduler's table for a list, going on after one that
// was drawn from so many times; before is nil for a new service.
var builders = map[lvs.Scheduler]func(list []Server, before *Layout, drawn uint64) (*Layout, error){
	lvs.RoundRobin:         roundRobin,
	lvs.WeightedRoundRobin: weightedRoundRobin,

	lvs.LeastConnection:         wholeList,
	lvs.WeightedLeastConnection: wholeList,
	lvs.ShortestExpectedDelay:   wholeList,
	lvs.NeverQueue:              wholeList,
	lvs.WeightedFailover:        wholeList,
	lvs.WeightedOverflow:        wholeList,
	lvs.PowerOfTwoChoices:       wholeList,
	lvs.Locality:                wholeList,
	lvs.LocalityReplicated:      wholeList,

	lvs.DestinationHash: destinationHash,
	lvs.SourceHash:      sourceHash,
	lvs.MaglevHash:      maglev,
}

// New lays out the table of a service whose servers were added in this order,
// one by one. No server to be had makes an empty table.
func New(s lvs.Scheduler, servers []Server) (*Layout, error) { return Edit(s, servers, nil, 0) }

// Edit lays out the table of a service that has these servers now, in the order
// in which they were added. Before is its table until now, which was drawn from
// so many times: the scheduler goes on where it stood, as the kernel's does after
// each of the edits in between. The new table begins with the next turn.
func Edit(s lvs.Scheduler, servers []Server, before *Layout, drawn uint64) (*Layout, error) {
	build := builders[s]
	if build == nil {
		return nil, fmt.Errorf("unknown scheduler %q", s)
	}
	list := newestFirst(servers)
	before.rememberWeights(list)
	if before != nil && before.Scheduler != s {
		// A service that gets another scheduler begins anew, with all its servers
		// there already.
		before = &Layout{Scheduler: s, list: list}
		drawn = 0
	}
	l, err := build(list, before, drawn)
	if err != nil {
		return nil, err
	}
	l.Scheduler, l.list = s, list
	return l, nil
}

// rememberWeights gives each server its last weight: the present one, or, where
// it has been quiesced since it was added, the one before that.
func (l *Layout) rememberWeights(list []Server) {
	was := map[uint32]int{}
	if l != nil {
		for _, s := range l.list {
			was[s.Index] = s.lastWeight
		}
	}
	for i, s := range list {
		list[i].lastWeight = s.Weight
		if s.Weight == 0 {
			list[i].lastWeight = was[s.Index]
		}
	}
}

// Same says whether the servers are those of the layout, with the same weights in
// the same order, so that nothing has to be laid out anew.
func (l *Layout) Same(s lvs.Scheduler, servers []Server) bool {
	return l.Scheduler == s && slices.EqualFunc(l.list, newestFirst(servers), Server.same)
}

// Rotated is the layout as a table has it that an earlier process laid out, its
// cycle beginning elsewhere; ok is false where the table is of other servers.
func (l *Layout) Rotated(slots []uint32) (rotated *Layout, ok bool) {
	n := len(l.Slots)
	if len(slots) != n {
		return nil, false
	}
	for first := range max(n, 1) {
		turned := append(slices.Clone(l.Slots[first:]), l.Slots[:first]...)
		if !slices.Equal(turned, slots) {
			continue
		}
		r := *l
		r.Slots = turned
		if l.thresholds != nil {
			r.thresholds = append(slices.Clone(l.thresholds[first:]), l.thresholds[:first]...)
		}
		return &r, true
	}
	return nil, false
}

// newestFirst is IPVS's order of its list.
func newestFirst(servers []Server) []Server {
	list := slices.Clone(servers)
	slices.Reverse(list)
	return list
}

// last is the slot that was drawn last; ok is false where none was.
func (l *Layout) last(drawn uint64) (slot int, ok bool) {
	if l == nil || drawn == 0 || len(l.Slots) == 0 {
		return 0, false
	}
	return int((drawn - 1) % uint64(len(l.Slots))), true
}

// wholeList is the table of a scheduler that scans: every server, quiesced ones
// too, since their weight is looked at when a connection comes.
func wholeList(list []Server, _ *Layout, _ uint64) (*Layout, error) {
	if len(list) > MaxSlots {
		return nil, fmt.Errorf("%d servers: at most %d can be looked through", len(list), MaxSlots)
	}
	l := &Layout{}
	for _, s := range list {
		l.Slots = append(l.Slots, s.Index)
	}
	return l, nil
}
