package stats

import "testing"

// The numbers are worked out by hand from ip_vs_est.c. A thousand connections in
// two seconds are 512,000 in its fixed point (500 a second << 10); the average
// goes a quarter of the way each time: 128,000, 224,000, 296,000, 350,000, or 125,
// 218.75, 289.06, 341.80 a second, read as (average + 511) >> 10.
func TestEstimatorIsTheKernels(t *testing.T) {
	for _, tt := range []struct {
		name    string
		counted []uint64 // connections in each two seconds
		want    []uint64 // connections a second, read after each
	}{
		{"rises", []uint64{1000, 1000, 1000, 1000}, []uint64{125, 219, 289, 342}},
		// 128,000, 96,000, 72,000, 54,000: 125, 93.75, 70.31, 52.73.
		{"falls", []uint64{1000, 0, 0, 0}, []uint64{125, 94, 70, 53}},
		// One in two seconds: 512, of which a quarter is 128: below a half.
		{"a single one is not seen", []uint64{1, 0, 0}, []uint64{0, 0, 0}},
		// Four in two seconds: 2048 / 4 = 512 is an exact half, which goes down;
		// five: 640, more than a half.
		{"an exact half goes down", []uint64{4}, []uint64{0}},
		{"more than a half goes up", []uint64{5}, []uint64{1}},
		// 2 a second: 1024 is reached from below by quarters that round down:
		// 512, 896, 1184, 1400, 1562, ...
		{"two a second", []uint64{4, 4, 4, 4, 4, 4, 4, 4}, []uint64{0, 1, 1, 1, 2, 2, 2, 2}},
		{"nothing", []uint64{0, 0}, []uint64{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var e estimator
			var now Counter
			for i, n := range tt.counted {
				now.Conns += n
				e.sample(now)
				if got := e.Rates(); got != (Rates{Conns: tt.want[i]}) {
					t.Errorf("after %d samples %+v, want %d connections a second", i+1, got, tt.want[i])
				}
			}
		})
	}
}

// Each column has its own counter and its own scale: bytes are kept in units of a
// 32nd, so that 1,000,000 in two seconds are 16,000,000 and a quarter of them is
// 125,000 a second.
func TestEstimatorOfEachColumn(t *testing.T) {
	var e estimator
	e.sample(Counter{Conns: 80, Packets: 800, Bytes: 1_000_000, OutPackets: 1600, OutBytes: 1 << 40})
	want := Rates{Conns: 10, InPackets: 100, OutPackets: 200, InBytes: 125_000, OutBytes: 1 << 37}
	if got := e.Rates(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// An average that falls rounds away from zero: 15 -> 15 + (-15 >> 2) = 11 -> 8 -> 6.
	e = estimator{average: Rates{Conns: 15}}
	for _, want := range []uint64{11, 8, 6, 4, 3, 2, 1, 0} {
		if e.sample(Counter{}); e.average.Conns != want {
			t.Errorf("the average is %d, want %d", e.average.Conns, want)
		}
	}
	e.restart(Counter{Conns: 500})
	if e.sample(Counter{Conns: 500}); e.Rates() != (Rates{}) {
		t.Errorf("after a restart %+v, want nothing", e.Rates())
	}
}
