package sched

import (
	"slices"

	"weir/lvs"
)

// Row is what the rest of weir has to know of one scheduler.
type Row struct {
	Name   lvs.Scheduler
	Number uint32 // as in enum scheduler of bpf/
	Traits Traits
	layOut func(edit) (*Layout, error)
	pick   func(servers []Load) (index uint32, ok bool) // the model of Pick; nil where there is none
}

// Traits say how a scheduler finds a server for a new connection. Each has exactly one
// of Cycles, Hashes and Scans, which also says what its table holds.
type Traits struct {
	// Cycles: the servers get the connections in turn. The table is one cycle of
	// turns (Layout.Cycle) with a cursor.
	Cycles bool
	// Hashes: a hash of the client's or the destination's address selects a slot of
	// the table. The same flow always gets the same server, so that no other hash is
	// needed for flows that find no room in the connection table.
	Hashes bool
	// Scans: the load of each server is looked at. The table is the list of servers.
	Scans bool
	// Remembers: a cache holds which server each destination was given. The cache is
	// the service's, and is emptied when the service gets another scheduler.
	Remembers bool
}

// rows are all schedulers, by number.
var rows = []Row{
	{lvs.RoundRobin, 0, Traits{Cycles: true}, roundRobin, nil},
	{lvs.WeightedRoundRobin, 1, Traits{Cycles: true}, weightedRoundRobin, nil},
	{lvs.LeastConnection, 2, Traits{Scans: true}, wholeList, leastConnection},
	{lvs.WeightedLeastConnection, 3, Traits{Scans: true}, wholeList, weightedLeastConnection},
	{lvs.ShortestExpectedDelay, 4, Traits{Scans: true}, wholeList, shortestExpectedDelay},
	{lvs.NeverQueue, 5, Traits{Scans: true}, wholeList, neverQueue},
	{lvs.WeightedFailover, 6, Traits{Scans: true}, wholeList, weightedFailover},
	{lvs.WeightedOverflow, 7, Traits{Scans: true}, wholeList, weightedOverflow},
	{lvs.DestinationHash, 8, Traits{Hashes: true}, destinationHash, nil},
	{lvs.SourceHash, 9, Traits{Hashes: true}, sourceHash, nil},
	{lvs.MaglevHash, 10, Traits{Hashes: true}, maglev, nil},
	{lvs.PowerOfTwoChoices, 11, Traits{Scans: true}, wholeList, nil},                   // model: PickTwo
	{lvs.Locality, 12, Traits{Scans: true, Remembers: true}, wholeList, nil},           // model: Cache
	{lvs.LocalityReplicated, 13, Traits{Scans: true, Remembers: true}, wholeList, nil}, // model: Cache
}

// Rows are all schedulers in the order of their numbers, which begin with 0 and have
// no gap.
func Rows() []Row { return slices.Clone(rows) }

// RowOf is the row of the scheduler with this name; ok is false where there is none.
func RowOf(name lvs.Scheduler) (row Row, ok bool) {
	for _, row := range rows {
		if row.Name == name {
			return row, true
		}
	}
	return Row{}, false
}
