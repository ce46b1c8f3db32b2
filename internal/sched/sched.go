// Package sched lays out, for each service, the table that the data plane
// schedules by. For rr and wrr one pass over it is one cycle of the kernel's
// scheduler; for those that scan (lc, wlc, sed, nq, fo, ovf) it is the list of
// servers, and Pick is their plain Go model.
package sched

import (
	"fmt"
	"slices"

	"weir/lvs"
)

// MaxSlots bounds a table.
const MaxSlots = 65536

// Server is a destination as a scheduler sees it.
type Server struct {
	Index  uint32 // its number in the data plane
	Weight int    // 0: quiesced
}

// builders holds each scheduler's layout. The servers come in IPVS's list
// order: the one added last stands first.
var builders = map[lvs.Scheduler]func([]Server) ([]uint32, error){
	lvs.RoundRobin:         roundRobin,
	lvs.WeightedRoundRobin: weightedRoundRobin,

	lvs.LeastConnection:         wholeList,
	lvs.WeightedLeastConnection: wholeList,
	lvs.ShortestExpectedDelay:   wholeList,
	lvs.NeverQueue:              wholeList,
	lvs.WeightedFailover:        wholeList,
	lvs.WeightedOverflow:        wholeList,
}

// Table returns the slots, each a server's index, for servers given in the
// order in which they were added. No server to be had makes an empty table.
func Table(s lvs.Scheduler, servers []Server) ([]uint32, error) {
	build := builders[s]
	if build == nil {
		return nil, fmt.Errorf("scheduler %q has no table", s)
	}
	return build(newestFirst(servers))
}

// newestFirst is IPVS's order of its list.
func newestFirst(servers []Server) []Server {
	list := slices.Clone(servers)
	slices.Reverse(list)
	return list
}

// wholeList is the table of a scheduler that scans: every server, quiesced ones
// too, since their weight is looked at when a connection comes.
func wholeList(list []Server) ([]uint32, error) {
	if len(list) > MaxSlots {
		return nil, fmt.Errorf("%d servers: at most %d can be looked through", len(list), MaxSlots)
	}
	var slots []uint32
	for _, s := range list {
		slots = append(slots, s.Index)
	}
	return slots, nil
}
