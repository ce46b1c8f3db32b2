package stats

import (
	"time"
)

// EstimateEvery is how often the rates are estimated (the estimation timer of
// net/netfilter/ipvs/ip_vs_est.c).
const EstimateEvery = 2 * time.Second

// Rates are what passes in a second at the moment, averaged over some eight
// seconds: what ipvsadm --rate calls CPS, InPPS, OutPPS, InBPS and OutBPS.
type Rates struct {
	Conns, InPackets, OutPackets, InBytes, OutBytes uint64
}

// estimator is the kernel's (net/netfilter/ipvs/ip_vs_est.c): every two seconds a
// quarter of the newest rate comes in the place of a quarter of the average. The
// averages are fixed-point numbers.
type estimator struct {
	last    Counter
	average Rates // scaled by 1 << countScale, and bytes by 1 << byteScale
}

const (
	countScale = 10
	byteScale  = 5
)

// sample takes a reading of the counters, two seconds after the one before. It returns
// whether they have moved, or another sample that has not moved would change a rate.
func (e *estimator) sample(now Counter) (moves bool) {
	before := e.last
	e.average = Rates{
		Conns:      approach(e.average.Conns, now.Conns-e.last.Conns, countScale),
		InPackets:  approach(e.average.InPackets, now.Packets-e.last.Packets, countScale),
		OutPackets: approach(e.average.OutPackets, now.OutPackets-e.last.OutPackets, countScale),
		InBytes:    approach(e.average.InBytes, now.Bytes-e.last.Bytes, byteScale),
		OutBytes:   approach(e.average.OutBytes, now.OutBytes-e.last.OutBytes, byteScale),
	}
	e.last = now
	return now != before || e.average != Rates{}
}

// approach moves an average a quarter of the way to what was counted in two
// seconds, hence a shift by one less than the scale. It rounds down, as the
// kernel's arithmetic shift does: a falling average goes below, too.
func approach(average, counted uint64, scale int) uint64 {
	rate := counted << (scale - 1)
	return average + uint64((int64(rate)-int64(average))>>2)
}

// restart begins anew from a reading: ip_vs_zero_estimator.
func (e *estimator) restart(now Counter) { *e = estimator{last: now} }

// Rates are the averages as whole numbers, rounded as ip_vs_read_estimator does:
// exact halves go down.
func (e *estimator) Rates() Rates {
	whole := func(average uint64, scale int) uint64 { return (average + 1<<(scale-1) - 1) >> scale }
	return Rates{
		Conns:      whole(e.average.Conns, countScale),
		InPackets:  whole(e.average.InPackets, countScale),
		OutPackets: whole(e.average.OutPackets, countScale),
		InBytes:    whole(e.average.InBytes, byteScale),
		OutBytes:   whole(e.average.OutBytes, byteScale),
	}
}
