package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComparisonTellsWhatDiffersByMoreThanItsNoise(t *testing.T) {
	p := part{name: "hits", title: "ns", bench: "BenchmarkHits", columns: []column{{"1", "1 flow"}, {"10", "ten"}}, rows: []row{
		{name: "empty", what: "wrapper"},
		{name: "same", what: "as fast as before", less: "empty"},
		{name: "noisy", what: "slower, or noise"},
		{name: "slow", what: "slower"},
		{name: "new", what: "only here"},
	}}
	this := figures{
		"1/empty": {10, 10, 10}, "1/same": {110, 111, 112}, "1/noisy": {100, 110, 120}, "1/slow": {108, 109, 109}, "1/new": {1, 1, 1},
		"10/empty": {10, 10, 10}, "10/same": {110, 110, 110},
	}
	other := figures{
		"1/empty": {10, 10, 10}, "1/same": {110, 110, 111}, "1/noisy": {95, 96, 97}, "1/slow": {100, 101, 101},
		"10/empty": {10, 10, 10}, "10/same": {108, 108, 108},
	}
	c := comparison{Machine: "a machine", Rounds: 3, Against: "abc", Programs: []programCompare{
		{"weir_tc", 1010, 1000}, {"weir_new", 5, 0},
	}}
	compared := comparedPart{Name: p.name, Title: p.title}
	for _, column := range p.columns {
		for _, row := range p.rows {
			if x, ok := p.comparing(column, row, this, other); ok {
				compared.Rows = append(compared.Rows, x)
			}
		}
	}
	c.Parts = []comparedPart{compared, {Name: "vm", Title: "guest", Missing: "it runs in a guest, which has one build"}}
	var got strings.Builder
	if err := c.print(&got); err != nil {
		t.Fatal(err)
	}
	want := `a machine
3 interleaved rounds of this build and of abc; figures are minima where a part says nothing else;
noise is how far the median of a build's rounds lies from its figure

hits: ns
                                                      this     other  ratio  noise of each
wrapper, 1 flow                                      10.00     10.00  1.000    0.0%    0.0%
as fast as before, 1 flow                           100.00    100.00  1.000    1.0%    0.0%
slower, or noise, 1 flow                            100.00     95.00  1.053   10.0%    1.1%
slower, 1 flow                                      108.00    100.00  1.080    0.9%    1.0%
wrapper, ten                                         10.00     10.00  1.000    0.0%    0.0%
as fast as before, ten                              100.00     98.00  1.020    0.0%    0.0%

vm: guest
not compared: it runs in a guest, which has one build

rows that differ by more than 3 % or by more than twice their noise:
hits: slower, or noise, 1 flow: +5.3 %, within twice its noise (20.0 %)
hits: slower, 1 flow: +8.0 %, beyond twice its noise (2.0 %)
hits: as fast as before, ten: +2.0 %, beyond twice its noise (0.0 %)

instructions                          this     other    change
weir_tc                               1010      1000   +1.00 %
weir_new                                 5         0         -
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("the comparison differs (-want +got):\n%s", diff)
	}
}

func TestAnotherBuildMayHaveOtherBenchmarks(t *testing.T) {
	p := part{bench: "BenchmarkHits", columns: single, rows: []row{{name: "hit/xdp"}, {name: "hit/tc"}}}
	all := figures{}
	if err := p.takeKnown("BenchmarkHits/hit/xdp-2 1 5.0 ns/packet\nBenchmarkHits/old-2 1 5.0 ns/packet\n", all); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(figures{"hit/xdp": {5}}, all); diff != "" {
		t.Errorf("what is taken differs (-want +got):\n%s", diff)
	}
}

func TestBenchmarksAreFoundWhereverTheyAre(t *testing.T) {
	this := tree{name: "this", root: t.TempDir()}
	dir := filepath.Join(this.root, "internal", "deep")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "package deep\n\nfunc BenchmarkHits(b *testing.B) {}\n"
	if err := os.WriteFile(filepath.Join(dir, "hits_test.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if pkg, err := this.packageOf("BenchmarkHits"); err != nil || pkg != "internal/deep" {
		t.Errorf("BenchmarkHits is in %q, %v", pkg, err)
	}
	if _, err := this.packageOf("BenchmarkNew"); !errors.Is(err, errNoBenchmark) {
		t.Errorf("BenchmarkNew, which is nowhere: %v", err)
	}
}

// Every part's benchmark must be in exactly one package.
func TestEveryPartHasItsBenchmark(t *testing.T) {
	this, err := thisTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := this.packageOf(p.bench); err != nil {
			t.Error(err)
		}
	}
}

func TestAnInterruptLeavesNoWorktree(t *testing.T) {
	this, err := thisTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	dir := t.TempDir()
	if _, _, err := this.checkOut(ctx, "HEAD", dir); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	_, remove, err := this.checkOut(t.Context(), "HEAD", dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("the folder has %v, %v", left, err)
	}
}
