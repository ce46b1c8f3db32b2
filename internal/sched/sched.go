// Package sched lays out, for each service, the table that the data plane
// schedules by. For rr and wrr it is one cycle of the kernel's scheduler; for dh,
// sh and mh it is indexed by a hash; for those that scan (lc, wlc, sed, nq, fo,
// ovf) it is the list of servers. Pick and Mark are plain Go models.
package sched

import (
	"fmt"
	"net/netip"
	"slices"

	"weir/lvs"
)

// MaxSlots bounds a table: its slots, a cycle that is laid out, and the servers
// of a list (MAX_TURNS in bpf/sched.h).
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
	// Slots are each a server's index, but for rr and wrr, which have a Cycle.
	Slots []uint32
	Cycle *Cycle
	// list is IPVS's list of the servers: the one added last stands first.
	list []Server
	// stands is the place in it, counted from 1, of the server that had the last
	// turn of rr before the cycle began.
	stands int
	// step is by how much the threshold of wrr falls from level to level.
	step int
}

// builders lay out each scheduler's table for a list.
var builders = map[lvs.Scheduler]func(list []Server) (*Layout, error){
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

// inTurn lay out the cycles of the schedulers that go on after the turn at which
// the cursor of the table before stood; before is nil for a new service.
var inTurn = map[lvs.Scheduler]func(list []Server, before *Layout, cursor uint64, most int) (*Layout, error){
	lvs.RoundRobin:         roundRobin,
	lvs.WeightedRoundRobin: weightedRoundRobin,
}

// New lays out the table of a service whose servers were added in this order,
// one by one. No server to be had makes an empty table.
func New(s lvs.Scheduler, servers []Server) (*Layout, error) {
	return Edit(s, servers, nil, 0, MaxSlots)
}

// Edit lays out the table of a service that has these servers now, in the order
// in which they were added. Before is its table until now, whose cursor stands
// here: the scheduler goes on from there, as the kernel's does after each of the
// edits in between. A cycle of more turns than most is not laid out.
func Edit(s lvs.Scheduler, servers []Server, before *Layout, cursor uint64, most int) (*Layout, error) {
	if len(servers) > MaxSlots {
		return nil, fmt.Errorf("%d servers in one service: at most %d can be scheduled", len(servers), MaxSlots)
	}
	list := newestFirst(servers)
	before.rememberWeights(list)
	if before != nil && before.Scheduler != s {
		// A service that gets another scheduler begins anew, with all its servers
		// there already.
		before = &Layout{Scheduler: s, list: list}
	}
	l, err := build(s, list, before, cursor, most)
	if err != nil {
		return nil, err
	}
	l.Scheduler, l.list = s, list
	return l, nil
}

func build(s lvs.Scheduler, list []Server, before *Layout, cursor uint64, most int) (*Layout, error) {
	if b := inTurn[s]; b != nil {
		return b(list, before, cursor, min(most, MaxSlots))
	}
	if b := builders[s]; b != nil {
		return b(list)
	}
	return nil, fmt.Errorf("unknown scheduler %q", s)
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

// Left makes the layout that of a table which an earlier process left: of the
// same servers, with this Head, and turns taken that only its cursor tells of.
func (l *Layout) Left(head uint64) {
	if l.Cycle != nil {
		l.Cycle.Head, l.Cycle.First = head, ^uint64(0)
	}
}

// newestFirst is IPVS's order of its list.
func newestFirst(servers []Server) []Server {
	list := slices.Clone(servers)
	slices.Reverse(list)
	return list
}

// wholeList is the table of a scheduler that scans: every server, quiesced ones
// too, since their weight is looked at when a connection comes.
func wholeList(list []Server) (*Layout, error) {
	l := &Layout{}
	for _, s := range list {
		l.Slots = append(l.Slots, s.Index)
	}
	return l, nil
}
