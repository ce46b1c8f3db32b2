package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	p := part{name: "hits", title: "ns", bench: "BenchmarkHits", columns: []column{{"1", "1 flow"}, {"10", "ten"}}, rows: []row{
		{name: "empty", what: "wrapper"},
		{name: "dr40", what: "floor", less: "empty"},
		{name: "hit/xdp", what: "established", less: "empty", of: "dr40", bars: []float64{0.8, 0.5}, flat: 1.2},
		{name: "late", what: "latest", unit: "s", worst: true, most: []float64{0, 5}},
	}}
	all := figures{}
	for _, round := range [][8]string{
		{"10.0", "50.0", "54.0", "1.5", "10.0", "90.0", "58.0", "2.5"},
		{"12.0", "60.0", "70.0", "2.5", "11.0", "99.0", "60.0", "1.0"},
		{"11.0", "51.0", "60.0", "0.5", "12.0", "99.0", "70.0", "1.0"},
	} {
		var out strings.Builder
		out.WriteString("goos: linux\n")
		for i, name := range []string{"1/empty", "1/dr40", "1/hit/xdp", "1/late", "10/empty", "10/dr40", "10/hit/xdp", "10/late"} {
			unit := "ns/packet"
			if strings.HasSuffix(name, "late") {
				unit = "s"
			}
			out.WriteString("BenchmarkHits/" + name + "-2 \t 300000\t " + round[i] + " " + unit + "\n")
		}
		if err := p.take(out.String(), all); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	r := report{Machine: "a machine", Rounds: 3, Parts: []partResult{p.result(all)}}
	if err := r.print(&got); err != nil {
		t.Fatal(err)
	}
	want := `a machine
3 interleaved rounds; figures are minima where a part says nothing else;
beside each its ratio to that of the row which is named, and behind it the bar

hits: ns
                                          1 flow             ten
wrapper                               10.0            10.0
floor                                 40.0            80.0
established                           44.0  1.10      48.0  0.60  of dr40, flat 1.09  (bar 0.8, 0.5; flat 1.2)
latest                                2.50            2.50        (bar -, 5)
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestTakeRefusesARoundThatLacksAFigure(t *testing.T) {
	p := part{bench: "BenchmarkHits", columns: single, rows: []row{{name: "hit/xdp"}, {name: "hit/tc"}}}
	if err := p.take("BenchmarkHits/hit/xdp-2 1 5.0 ns/packet\n", figures{}); err == nil {
		t.Error("a round without hit/tc is taken")
	}
	if err := p.take("BenchmarkHits/new-2 1 5.0 ns/packet\n", figures{}); err == nil {
		t.Error("a benchmark that is in no table is taken")
	}
}

func TestPartsAreChosenByName(t *testing.T) {
	if all, err := choose(nil); err != nil || len(all) != len(parts) {
		t.Errorf("no name: %d parts, %v", len(all), err)
	}
	if some, err := choose([]string{"pps", "hits"}); err != nil || len(some) != 2 || some[0].name != "pps" {
		t.Errorf("two names: %v, %v", some, err)
	}
	if _, err := choose([]string{"hit"}); err == nil || !strings.Contains(err.Error(), "hits, new") {
		t.Errorf("a wrong name: %v", err)
	}
}

// The benchmarks themselves must not rot: one short round of each, of its first
// column, but for what takes a guest. It shows nothing about speed.
func TestBenchmarksRun(t *testing.T) {
	dir := t.TempDir()
	this, err := thisTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.guest {
			continue
		}
		p.packets, p.columns = min(p.packets, 2000), p.columns[:1]
		if _, err := p.measure(t.Context(), this, dir, 0); err != nil {
			t.Error(err)
		}
	}
}
