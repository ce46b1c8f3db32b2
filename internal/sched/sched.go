// Package sched has weir's schedulers: one file and one row of the table in rows.go
// for each. A scheduler's row says how the data plane is to use it; its file lays out
// the table that the data plane's programs (bpf/) pick servers from, or holds the
// plain Go model that these programs are tested against, or both. Each follows the
// kernel's module of the same name, net/netfilter/ipvs/ip_vs_NAME.c.
package sched

import (
	"fmt"

	"weir/lvs"
)

// New lays out the table of a new service whose servers were added in this order,
// one by one. Its errors are those of Edit.
func New(s lvs.Scheduler, servers []Server) (*Layout, error) {
	return Edit(s, servers, nil, 0, MaxSlots)
}

// Edit lays out the table of a service that now has these servers, in the order in
// which they were added. The data plane calls it at each change of a service's
// servers or scheduler.
//
// Before is the service's table until now and cursor where that one stood: the
// scheduler goes on from there, as the kernel's does after each of the edits in
// between. Before is nil for a new service. A cycle of more than most turns is not
// laid out: the data plane then walks through its shares.
//
// A service without a server that may get connections has an empty table. An unknown
// scheduler and more than MaxSlots servers (4,093 for mh) are errors.
func Edit(s lvs.Scheduler, servers []Server, before *Layout, cursor uint64, most int) (*Layout, error) {
	row, known := RowOf(s)
	if !known {
		return nil, fmt.Errorf("unknown scheduler %q", s)
	}
	if len(servers) > MaxSlots {
		return nil, fmt.Errorf("%d servers in one service: at most %d can be scheduled", len(servers), MaxSlots)
	}
	list := newestFirst(servers)
	before.rememberWeights(list)
	if before != nil && before.Scheduler != s {
		// A service that gets another scheduler begins anew, but with all of its
		// servers at once instead of one by one.
		before = &Layout{Scheduler: s, list: list}
	}
	l, err := row.layOut(edit{list, before, cursor, min(most, MaxSlots)})
	if err != nil {
		return nil, err
	}
	l.Scheduler, l.list = s, list
	return l, nil
}

// Pick is the server that a scan scheduler gives the next connection, for servers in
// the order in which they were added. Tests compare the data plane's choice with it.
// ok is false where no server may get a connection, and for every scheduler but lc,
// wlc, sed, nq, fo and ovf.
func Pick(s lvs.Scheduler, servers []Load) (index uint32, ok bool) {
	row, _ := RowOf(s)
	if row.pick == nil {
		return 0, false
	}
	return row.pick(servers)
}
