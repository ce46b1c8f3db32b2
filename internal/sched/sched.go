// Package sched lays out, for each table scheduler, the table that the data
// plane draws from: one pass over it is one cycle of the kernel's scheduler.
// The builders are the plain Go model that the data plane is tested against.
package sched

import (
	"fmt"

	"weir/lvs"
)

// MaxSlots bounds a table.
const MaxSlots = 65536

// Server is a destination as a scheduler sees it.
type Server struct {
	Index  uint32 // its number in the data plane
	Weight int    // 0: quiesced
}

// builders holds each table scheduler's layout. The servers come in IPVS's list
// order: the one added last stands first.
var builders = map[lvs.Scheduler]func([]Server) ([]uint32, error){
	lvs.RoundRobin:         roundRobin,
	lvs.WeightedRoundRobin: weightedRoundRobin,
}

// Table returns the slots, each a server's index, for servers given in the
// order in which they were added. No server to be had makes an empty table.
func Table(s lvs.Scheduler, servers []Server) ([]uint32, error) {
	build := builders[s]
	if build == nil {
		return nil, fmt.Errorf("scheduler %q has no table", s)
	}
	list := make([]Server, len(servers))
	for i, server := range servers {
		list[len(list)-1-i] = server
	}
	return build(list)
}
