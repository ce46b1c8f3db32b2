package sched

import (
	"net/netip"
	"slices"

	"weir/lvs"
)

// MaxSlots bounds a service's table: the slots, the turns of a cycle that is laid
// out, and the servers of a list (MAX_TURNS in bpf/).
const MaxSlots = 65536

// Server is a real server as a scheduler sees it.
type Server struct {
	Index  uint32 // its number in the data plane's tables
	Weight int    // 0 to 2³¹−1; 0 is quiesced
	Edits  int    // how often it was edited: each edit resets wrr's position
	Addr   netip.AddrPort
	// lastWeight is the last weight other than 0 that it was given (last_weight of
	// struct ip_vs_dest). mh goes by it, so that a quiesced server keeps its slots.
	lastWeight int
}

// same says whether two are the same server with the same settings.
func (s Server) same(other Server) bool {
	s.lastWeight, other.lastWeight = 0, 0
	return s == other
}

// Layout is a service's table, and what the next edit needs to go on from it as the
// kernel would.
type Layout struct {
	Scheduler lvs.Scheduler
	// Slots hold one server's Index each. It is empty for rr and wrr, which have a
	// Cycle.
	Slots []uint32
	Cycle *Cycle
	// list is IPVS's list of the servers: the one added last stands first.
	list []Server
	// stands is, for rr, the place in list, counted from 1, of the server that had
	// the last turn before the cycle began; 0 where none had.
	stands int
	// step is, for wrr, by how much the threshold falls from level to level.
	step int
}

// edit is what a scheduler lays a service's table out from.
type edit struct {
	list   []Server // IPVS's list of the servers: the one added last stands first
	before *Layout  // the table until now; nil for a new service
	cursor uint64   // where the data plane stood in it
	most   int      // turns of a cycle that is laid out
}

// rememberWeights sets each server's lastWeight: its present weight, or, where it is
// quiesced, the one that it had in the table before.
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

// Same says whether a service with this scheduler and these servers, in the order in
// which they were added, has this very layout, so that nothing has to be laid out
// anew. An edit that changes nothing but Server.Edits counts as a difference.
func (l *Layout) Same(s lvs.Scheduler, servers []Server) bool {
	return l.Scheduler == s && slices.EqualFunc(l.list, newestFirst(servers), Server.same)
}

// Left tells a new layout that its table is the one that an earlier process left in
// the data plane, with this word for Cycle.Head. Only the table's cursor knows which
// turns have been taken of it, so that the next edit asks the cursor alone.
func (l *Layout) Left(head uint64) {
	if l.Cycle != nil {
		l.Cycle.Head, l.Cycle.First = head, ^uint64(0)
	}
}

// newestFirst turns the order in which servers were added into that of IPVS's list:
// the kernel adds each at the head.
func newestFirst(servers []Server) []Server {
	list := slices.Clone(servers)
	slices.Reverse(list)
	return list
}

// wholeList is the table of the scan schedulers: every server, quiesced ones too,
// since the data plane looks at the weight when a connection comes.
func wholeList(e edit) (*Layout, error) {
	l := &Layout{}
	for _, s := range e.list {
		l.Slots = append(l.Slots, s.Index)
	}
	return l, nil
}
