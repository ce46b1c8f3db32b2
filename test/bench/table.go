package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// row is a benchmark and its figures, in nanoseconds a packet.
type row struct {
	name, what string
	of         string  // the row that it is compared with
	bar        float64 // the ratio that is meant to hold; 0: none
	figures    []float64
}

// report is what is printed.
type report struct {
	Machine string       `json:"machine"`
	Rounds  int          `json:"rounds"`
	Parts   []partResult `json:"parts"`
}

type partResult struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Rows  []result `json:"rows"`
}

type result struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Min    float64 `json:"min_ns"`
	Median float64 `json:"median_ns"`
	Ratio  float64 `json:"ratio,omitempty"` // of the minima
	Of     string  `json:"of,omitempty"`
	Bar    float64 `json:"bar,omitempty"`
}

// take reads one round's output: lines such as
// "BenchmarkHits/hit/xdp-2  300000  42.28 ns/packet".
func (p *part) take(output string, counts bool) error {
	found := 0
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		name, ok := strings.CutPrefix(line, p.bench+"/")
		if !ok || len(fields) < 4 || fields[3] != "ns/packet" {
			continue
		}
		name = name[:strings.LastIndex(strings.Fields(name)[0], "-")]
		i := slices.IndexFunc(p.rows, func(r row) bool { return r.name == name })
		if i < 0 {
			return fmt.Errorf("the benchmark %q is in no table", name)
		}
		ns, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
		found++
		if counts {
			p.rows[i].figures = append(p.rows[i].figures, ns)
		}
	}
	if found != len(p.rows) {
		return fmt.Errorf("%d of %d benchmarks gave a figure", found, len(p.rows))
	}
	return nil
}

func (p *part) result() partResult {
	out := partResult{Name: p.name, Title: p.title}
	lowest := map[string]float64{}
	for _, r := range p.rows {
		lowest[r.name] = slices.Min(r.figures)
	}
	for _, r := range p.rows {
		slices.Sort(r.figures)
		x := result{Name: r.name, What: r.what, Min: r.figures[0], Median: r.figures[len(r.figures)/2], Of: r.of, Bar: r.bar}
		if r.of != "" {
			x.Ratio = x.Min / lowest[r.of]
		}
		out.Rows = append(out.Rows, x)
	}
	return out
}

func (r *report) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d interleaved rounds; ratios are of the minima\n", r.Machine, r.Rounds)
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "\n%s: %s\n%-34s %8s %8s %9s  %s\n", p.Name, p.Title, "", "min", "median", "M pkt/s", "ratio")
		for _, x := range p.Rows {
			fmt.Fprintf(&b, "%-34s %8.1f %8.1f %9.2f  %s\n", x.What, x.Min, x.Median, 1e3/x.Median, x.ratio())
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (x result) ratio() string {
	if x.Of == "" {
		return ""
	}
	s := fmt.Sprintf("%.2f of %s", x.Ratio, x.Of)
	if x.Bar != 0 {
		s += fmt.Sprintf("  (bar %g)", x.Bar)
	}
	return s
}
