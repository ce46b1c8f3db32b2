package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	p := part{name: "hits", title: "ns", bench: "BenchmarkHits", rows: []row{
		{name: "dr40/xdp", what: "floor"}, {name: "hit/xdp", what: "established", of: "dr40/xdp", bar: 1.3},
	}}
	for round, figures := range [][2]string{{"1", "1"}, {"40.0", "44.0"}, {"50.0", "60.0"}, {"41.0", "50.0"}} {
		out := "goos: linux\nBenchmarkHits/dr40/xdp-2 \t 300000\t " + figures[0] + " ns/packet\n" +
			"BenchmarkHits/hit/xdp-2 \t 300000\t " + figures[1] + " ns/packet\nPASS\n"
		if err := p.take(out, round > 0); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	r := report{Machine: "a machine", Rounds: 3, Parts: []partResult{p.result()}}
	if err := r.print(&got); err != nil {
		t.Fatal(err)
	}
	want := `a machine
3 interleaved rounds; ratios are of the minima

hits: ns
                                        min   median   M pkt/s  ratio
floor                                  40.0     41.0     24.39  
established                            44.0     50.0     20.00  1.10 of dr40/xdp  (bar 1.3)
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestTakeRefusesARoundThatLacksAFigure(t *testing.T) {
	p := part{bench: "BenchmarkHits", rows: []row{{name: "hit/xdp"}, {name: "hit/tc"}}}
	if err := p.take("BenchmarkHits/hit/xdp-2 1 5.0 ns/packet\n", true); err == nil {
		t.Error("a round without hit/tc is taken")
	}
	if err := p.take("BenchmarkHits/new-2 1 5.0 ns/packet\n", true); err == nil {
		t.Error("a benchmark that is in no table is taken")
	}
}

// The benchmarks themselves must not rot: one short round of each.
func TestBenchmarksRun(t *testing.T) {
	dir := t.TempDir()
	for _, p := range parts {
		p.packets = 2000
		if err := p.measure(dir, 1); err != nil {
			t.Error(err)
		}
	}
}
