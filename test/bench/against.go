package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// comparison is this build beside another commit's.
type comparison struct {
	Machine  string           `json:"machine"`
	Rounds   int              `json:"rounds"`
	Against  string           `json:"against"`
	Parts    []comparedPart   `json:"parts"`
	Programs []programCompare `json:"programs"`
}

type comparedPart struct {
	Name    string         `json:"name"`
	Title   string         `json:"title"`
	Missing string         `json:"missing,omitempty"` // why it could not be compared
	Rows    []rowComparing `json:"rows,omitempty"`
}

// rowComparing is one figure of both builds. Ratio is this build's figure by the
// other's. A build's noise is how far the median of its rounds lies from the figure
// that counts, in percent of that figure.
type rowComparing struct {
	Name  string  `json:"name"`
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	This  float64 `json:"this"`
	Other float64 `json:"other"`
	Ratio float64 `json:"ratio"`
	Noise float64 `json:"noise"`
	// OtherNoise is the other build's.
	OtherNoise float64 `json:"other_noise"`
}

// programCompare is how many instructions a BPF program has; 0: that build has no such program.
type programCompare struct {
	Name  string `json:"name"`
	This  int    `json:"this"`
	Other int    `json:"other"`
}

// compare measures this build and a commit's in the same rounds. The commit is
// checked out into a folder of its own, which is removed in every case.
func compare(ctx context.Context, this tree, dir string, chosen []part, rounds int, commit string) (result *comparison, err error) {
	other, remove, err := this.checkOut(ctx, commit, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	c := &comparison{Machine: machine(), Rounds: rounds, Against: commit}
	for _, p := range chosen {
		compared, err := p.compare(ctx, this, other, dir, rounds)
		if err != nil {
			return nil, err
		}
		c.Parts = append(c.Parts, compared)
	}
	c.Programs, err = comparePrograms(this, other)
	return c, err
}

func (p *part) compare(ctx context.Context, this, other tree, dir string, rounds int) (comparedPart, error) {
	result := comparedPart{Name: p.name, Title: p.title}
	if p.guest {
		result.Missing = "it runs in a guest, which has one build"
		return result, nil
	}
	var builds []*binary
	for _, t := range []tree{this, other} {
		b, err := t.build(ctx, p, dir)
		if t.other && errors.Is(err, errNoBenchmark) {
			result.Missing = err.Error()
			return result, nil
		}
		if err != nil {
			return result, err
		}
		builds = append(builds, b)
	}
	all, err := p.interleave(ctx, builds, rounds)
	if err != nil {
		return result, err
	}
	for _, c := range p.columns {
		for _, r := range p.rows {
			if row, ok := p.comparing(c, r, all[0], all[1]); ok {
				result.Rows = append(result.Rows, row)
			}
		}
	}
	return result, nil
}

// comparing is one row of the comparison; false: a build lacks its figure.
func (p *part) comparing(c column, r row, this, other figures) (rowComparing, bool) {
	for _, name := range []string{r.name, r.less} {
		if path := p.path(c, row{name: name}); name != "" && (len(this[path]) == 0 || len(other[path]) == 0) {
			return rowComparing{}, false
		}
	}
	x := rowComparing{Name: p.path(c, r), What: r.what, Unit: r.in(), This: p.figure(c, r, this), Other: p.figure(c, r, other)}
	if len(p.columns) > 1 {
		x.What += ", " + c.what
	}
	x.Ratio = x.This / x.Other
	x.Noise, x.OtherNoise = p.noise(c, r, this), p.noise(c, r, other)
	return x, true
}

// noise is how far the medians of the rounds lie from what counts, in percent of the
// figure, which may be the difference of two rows.
func (p *part) noise(c column, r row, all figures) float64 {
	off := 0.0
	for _, one := range []row{r, {name: r.less}} {
		if rounds := all[p.path(c, one)]; len(rounds) != 0 && one.name != "" {
			off += math.Abs(median(rounds) - p.counts(one, rounds))
		}
	}
	return 100 * off / math.Abs(p.figure(c, r, all))
}

func comparePrograms(this, other tree) ([]programCompare, error) {
	ours, err := this.instructions()
	if err != nil {
		return nil, err
	}
	theirs, err := other.instructions()
	if err != nil {
		return nil, err
	}
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	var all []programCompare
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, programCompare{Name: name, This: ours[name], Other: theirs[name]})
	}
	return all, nil
}

// differs is from how many percent on a row is told at the end, whatever its noise.
const differs = 3

// verdict says how this row differs, or nothing: by more than differs percent, or by
// more than twice the larger noise.
func (x *rowComparing) verdict() string {
	change := 100 * (x.Ratio - 1)
	noise := 2 * max(x.Noise, x.OtherNoise)
	if math.Abs(change) <= differs && math.Abs(change) <= noise {
		return ""
	}
	against := "within"
	if math.Abs(change) > noise {
		against = "beyond"
	}
	return fmt.Sprintf("%+.1f %%, %s twice its noise (%.1f %%)", change, against, noise)
}

func (c *comparison) print(out io.Writer) error {
	var b, notable strings.Builder
	fmt.Fprintf(&b, "%s\n%d interleaved rounds of this build and of %s; figures are minima where a part says nothing else;\n"+
		"noise is how far the median of a build's rounds lies from its figure\n", c.Machine, c.Rounds, c.Against)
	for _, p := range c.Parts {
		fmt.Fprintf(&b, "\n%s: %s\n", p.Name, p.Title)
		if p.Missing != "" {
			fmt.Fprintf(&b, "not compared: %s\n", p.Missing)
			continue
		}
		fmt.Fprintf(&b, "%-48s %9s %9s %6s %14s\n", "", "this", "other", "ratio", "noise of each")
		for _, x := range p.Rows {
			fmt.Fprintf(&b, "%-48s %9.2f %9.2f %6.3f %6.1f%% %6.1f%%\n", x.What, x.This, x.Other, x.Ratio, x.Noise, x.OtherNoise)
			if v := x.verdict(); v != "" {
				fmt.Fprintf(&notable, "%s: %s: %s\n", p.Name, x.What, v)
			}
		}
	}
	fmt.Fprintf(&b, "\nrows that differ by more than %d %% or by more than twice their noise:\n", differs)
	if notable.Len() == 0 {
		notable.WriteString("none\n")
	}
	b.WriteString(notable.String())
	fmt.Fprintf(&b, "\n%-32s %9s %9s %9s\n", "instructions", "this", "other", "change")
	for _, p := range c.Programs {
		change := "-"
		if p.This != 0 && p.Other != 0 {
			change = fmt.Sprintf("%+.2f %%", 100*(float64(p.This)/float64(p.Other)-1))
		}
		fmt.Fprintf(&b, "%-32s %9d %9d %9s\n", p.Name, p.This, p.Other, change)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
