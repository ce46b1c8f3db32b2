package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// report is what is printed.
type report struct {
	Machine string       `json:"machine"`
	Rounds  int          `json:"rounds"`
	Parts   []partResult `json:"parts"`
}

type partResult struct {
	Name    string      `json:"name"`
	Title   string      `json:"title"`
	Columns []string    `json:"columns"`
	Rows    []rowResult `json:"rows"`
}

type rowResult struct {
	Name  string  `json:"name"`
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	Of    string  `json:"of,omitempty"`
	Cells []cell  `json:"cells"`
	Flat  float64 `json:"flat,omitempty"` // the largest cell's ratio to the first
	bar   string
}

type cell struct {
	Figure float64 `json:"figure"` // the minimum, or the maximum where that counts
	Median float64 `json:"median"`
	Ratio  float64 `json:"ratio,omitempty"`
	Bar    float64 `json:"bar,omitempty"`
	Most   float64 `json:"most,omitempty"`
}

// figures are those of all rounds, by column and row: "64/rr".
type figures map[string][]float64

func (p *part) path(c column, r row) string { return strings.TrimPrefix(c.name+"/"+r.name, "/") }

func (r *row) in() string {
	if r.unit == "" {
		return "ns/packet"
	}
	return r.unit
}

// take reads one round's output: lines such as
// "BenchmarkHits/1/dr/ip4/xdp-2  100000  42.28 ns/packet". It refuses a benchmark
// that no table has, and a round that lacks one.
func (p *part) take(output string, into figures) error {
	wanted, found := p.wanted(), 0
	for line := range strings.Lines(output) {
		l, err := p.read(line)
		if err != nil {
			return err
		}
		if l == nil {
			continue
		}
		if wanted[l.name] != l.unit {
			return fmt.Errorf("the benchmark %q in %s is in no table", l.name, l.unit)
		}
		found++
		into[l.name] = append(into[l.name], l.figure)
	}
	if found != len(wanted) {
		return fmt.Errorf("%d of %d benchmarks gave a figure", found, len(wanted))
	}
	return nil
}

// takeKnown is take for another commit's build, which may have other benchmarks than
// the tables: it takes those that they have.
func (p *part) takeKnown(output string, into figures) error {
	wanted := p.wanted()
	for line := range strings.Lines(output) {
		l, err := p.read(line)
		if err != nil {
			return err
		}
		if l != nil && wanted[l.name] == l.unit {
			into[l.name] = append(into[l.name], l.figure)
		}
	}
	return nil
}

// wanted is the unit of each figure that a round gives, by the figure's name.
func (p *part) wanted() map[string]string {
	wanted := map[string]string{}
	for _, c := range p.columns {
		for _, r := range p.rows {
			wanted[p.path(c, r)] = r.in()
		}
	}
	return wanted
}

// benchLine is one benchmark's line of output.
type benchLine struct {
	name, unit string
	figure     float64
}

// read reads a line of output, or returns nil where it is none of the part's benchmarks.
func (p *part) read(line string) (*benchLine, error) {
	name, ok := strings.CutPrefix(line, p.bench+"/")
	fields := strings.Fields(name)
	if !ok || len(fields) < 4 {
		return nil, nil
	}
	figure, err := strconv.ParseFloat(fields[2], 64)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
	}
	return &benchLine{name: fields[0][:strings.LastIndex(fields[0], "-")], unit: fields[3], figure: figure}, nil
}

func (p *part) result(all figures) partResult {
	out := partResult{Name: p.name, Title: p.title}
	for _, c := range p.columns {
		out.Columns = append(out.Columns, c.what)
	}
	for _, r := range p.rows {
		x := rowResult{Name: r.name, What: r.what, Unit: r.in(), Of: r.of, bar: r.bar()}
		for i, c := range p.columns {
			x.Cells = append(x.Cells, r.cell(i, p.figure(c, r, all), all[p.path(c, r)], p.figure(c, p.row(r.of), all)))
		}
		if r.flat != 0 {
			most := slices.MaxFunc(x.Cells, func(a, b cell) int { return int(a.Figure - b.Figure) })
			x.Flat = most.Figure / x.Cells[0].Figure
		}
		out.Rows = append(out.Rows, x)
	}
	return out
}

// row is the one of this name, or none.
func (p *part) row(name string) row {
	if i := slices.IndexFunc(p.rows, func(r row) bool { return r.name == name }); i >= 0 {
		return p.rows[i]
	}
	return row{}
}

// figure is what the table says.
func (p *part) figure(c column, r row, all figures) float64 {
	return p.counts(r, all[p.path(c, r)]) - p.counts(r, all[p.path(c, row{name: r.less})])
}

// counts is the figure that counts of all rounds'.
func (p *part) counts(r row, rounds []float64) float64 {
	switch {
	case len(rounds) == 0:
		return 0
	case p.median:
		return median(rounds)
	case r.worst:
		return slices.Max(rounds)
	}
	return slices.Min(rounds)
}

func median(rounds []float64) float64 { return slices.Sorted(slices.Values(rounds))[len(rounds)/2] }

func (r *row) cell(column int, figure float64, rounds []float64, of float64) cell {
	x := cell{Figure: figure, Median: median(rounds)}
	if r.of != "" {
		x.Ratio = x.Figure / of
	}
	if r.bars != nil {
		x.Bar = r.bars[column]
	}
	if r.most != nil {
		x.Most = r.most[column]
	}
	return x
}

// bar tells what is meant to hold, for the end of the row's line.
func (r *row) bar() string {
	var s []string
	for _, list := range [][]float64{r.bars, r.most} {
		var each []string
		for _, bar := range list {
			text := "-"
			if bar != 0 {
				text = strconv.FormatFloat(bar, 'f', -1, 64)
			}
			each = append(each, text)
		}
		if each != nil {
			s = append(s, strings.Join(slices.Compact(each), ", "))
		}
	}
	if r.least && s != nil {
		s[0] = "at least " + s[0]
	}
	if r.flat != 0 {
		s = append(s, "flat "+strconv.FormatFloat(r.flat, 'f', -1, 64))
	}
	return strings.Join(s, "; ")
}

func (r *report) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d interleaved rounds; figures are minima where a part says nothing else;\n"+
		"beside each its ratio to that of the row which is named, and behind it the bar\n", r.Machine, r.Rounds)
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "\n%s: %s\n%-32s", p.Name, p.Title, "")
		for _, c := range p.Columns {
			fmt.Fprintf(&b, " %15s", c)
		}
		b.WriteString("\n")
		for _, x := range p.Rows {
			b.WriteString(strings.TrimRight(x.line(), " ") + "\n")
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (x *rowResult) line() string {
	s := fmt.Sprintf("%-32s", x.What)
	for _, c := range x.Cells {
		digits := 1
		if x.Unit != "ns/packet" {
			digits = 2
		}
		s += fmt.Sprintf(" %9.*f", digits, c.Figure)
		if x.Of != "" {
			s += fmt.Sprintf(" %5.2f", c.Ratio)
		} else {
			s += "      "
		}
	}
	if x.Of != "" {
		s += "  of " + x.Of
	}
	if x.Flat != 0 {
		s += fmt.Sprintf(", flat %.2f", x.Flat)
	}
	if x.bar != "" {
		s += "  (bar " + x.bar + ")"
	}
	return s
}
