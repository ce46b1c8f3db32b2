package service

import (
	"weir/internal/dataplane/abi"
	"weir/internal/sched"
	"weir/lvs"
)

// flagsOf is what the data plane has to know of a service and of its scheduler.
func flagsOf(vs lvs.VirtualServer) (flags abi.BpfServiceFlags) {
	row, _ := sched.RowOf(vs.Scheduler)
	for flag, set := range map[abi.BpfServiceFlags]bool{
		abi.BpfServiceFlagsSERVICE_PORT:             vs.SHPort,
		abi.BpfServiceFlagsSERVICE_FALLBACK:         vs.SHFallback,
		abi.BpfServiceFlagsSERVICE_BY_MARK:          vs.ByMark(),
		abi.BpfServiceFlagsSERVICE_ANY_PORT:         vs.Mark == 0 && vs.Port == 0,
		abi.BpfServiceFlagsSERVICE_ONE_PACKET:       vs.OnePacket,
		abi.BpfServiceFlagsSERVICE_EXPIRE_NODEST:    vs.Rules.ExpireNoDest,
		abi.BpfServiceFlagsSERVICE_EXPIRE_QUIESCENT: vs.Rules.ExpireQuiescentTemplate,
		abi.BpfServiceFlagsSERVICE_SLOPPY:           vs.Rules.SloppyTCP,
		abi.BpfServiceFlagsSERVICE_KEEP_REUSED:      vs.Rules.ReuseMode == lvs.ReuseKeeps,
		abi.BpfServiceFlagsSERVICE_REUSE_FIN_WAIT:   vs.Rules.ReuseMode == lvs.ReuseFinWait,
		abi.BpfServiceFlagsSERVICE_HASHES:           row.Traits.Hashes,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// schedulerNumber is a scheduler's number in the data plane.
func schedulerNumber(name lvs.Scheduler) (abi.BpfScheduler, bool) {
	row, ok := sched.RowOf(name)
	return abi.BpfScheduler(row.Number), ok
}

// schedulerOf is the name of the scheduler with a number; "" where there is none.
func schedulerOf(number abi.BpfScheduler) lvs.Scheduler {
	for _, row := range sched.Rows() {
		if abi.BpfScheduler(row.Number) == number {
			return row.Name
		}
	}
	return ""
}
