package check

import "weir/conf"

// Row is one kind of checker. Exactly one of Poll and Follow is set.
type Row struct {
	Kind conf.CheckKind
	// Poll makes the checker that a Runner is to repeat.
	Poll func(conf.Check, *Shared) Checker
	// Follow makes the source of a kind that is told.
	Follow func(conf.Check, *Shared) Source
}

// rows are the kinds of checks that weir can do.
var rows = []Row{
	{Kind: conf.CheckTCP, Poll: newTCP},
	{Kind: conf.CheckHTTP, Poll: newHTTP},
	{Kind: conf.CheckSSL, Poll: newHTTP},
	{Kind: conf.CheckSMTP, Poll: newSMTP},
	{Kind: conf.CheckDNS, Poll: newDNS},
	{Kind: conf.CheckMisc, Poll: newMisc},
	{Kind: conf.CheckPing, Poll: newPing},
	{Kind: conf.CheckUDP, Poll: newUDP},
	{Kind: conf.CheckViaVIP, Poll: newViaVIP},
	{Kind: conf.CheckAgent, Poll: newAgent},
	{Kind: conf.CheckFile, Follow: newFile},
	{Kind: conf.CheckBFD, Follow: newBFD},
}

// RowOf is the row of a kind of check; ok is false where weir cannot do it yet.
func RowOf(kind conf.CheckKind) (row Row, ok bool) {
	for _, row := range rows {
		if row.Kind == kind {
			return row, true
		}
	}
	return Row{}, false
}

// Title is what the String of a configured check's Checker or Source gives.
func Title(c conf.Check) string {
	target := c.Connect.String()
	switch c.Kind {
	case conf.CheckPing:
		target = c.Connect.Addr().String()
	case conf.CheckViaVIP:
		target = c.Connect.String() + " " + c.Via.Server.String()
	case conf.CheckMisc:
		target = c.Misc.Path.Command
	case conf.CheckFile:
		target = c.File.TrackFile
	case conf.CheckBFD:
		target = c.BFD.Name
	}
	return string(c.Kind) + " " + target
}

// TimingOf is when a configured check is to be asked.
func TimingOf(t conf.Timers) Timing {
	return Timing{
		DelayLoop: t.DelayLoop, Retry: t.Retry, DelayBeforeRetry: t.DelayBeforeRetry,
		Warmup: t.Warmup, Alpha: t.Alpha,
	}
}
