package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Compare reports the steps in which two transcripts of one scenario differ: want, of IPVS,
// and got. A client that gets no server is the same in both, whether it was refused by ICMP
// or got no answer. Where the scheduler is random (twos), totals are compared.
func Compare(want, got string) (differences string, err error) {
	w, err := Parse(want)
	if err != nil {
		return "", err
	}
	g, err := Parse(got)
	if err != nil {
		return "", err
	}
	if len(w) != len(g) {
		return "", fmt.Errorf("%d steps and %d steps: not the same scenario", len(w), len(g))
	}
	byLot := strings.Contains(want, " -s twos")
	for i := range w {
		a, b, err := w[i].outcome(byLot)
		if err != nil {
			return "", err
		}
		c, d, err := g[i].outcome(byLot)
		if err != nil {
			return "", err
		}
		differs := !slices.Equal(a, c)
		if byLot && w[i].isTraffic() {
			differs = !Alike(b, d)
		}
		if differs {
			differences += fmt.Sprintf("%s\n  IPVS: %s\n  weir: %s\n", strings.Join(w[i].Words, " "), strings.Join(a, "; "), strings.Join(c, "; "))
		}
	}
	return differences, nil
}

func (s Step) isTraffic() bool { return s.Words[0] == "tcp" || s.Words[0] == "udp" }

// outcome is the part of a step that is compared: its lines, and how often each server was
// picked.
func (s Step) outcome(byLot bool) (lines []string, picks map[string]int, err error) {
	switch {
	case s.isTraffic():
		flows, err := s.Flows()
		picks = map[string]int{}
		for _, f := range flows {
			for i, p := range f.Picks {
				if p == "refused" || p == "timeout" || p == "reset" || strings.HasPrefix(p, "error:") {
					f.Picks[i] = "none"
				}
				picks[f.Picks[i]]++
			}
			lines = append(lines, fmt.Sprintf("%s -> %s %s", f.From, f.To, strings.Join(f.Picks, " ")))
		}
		return lines, picks, err
	case slices.Contains(s.Words, "-Ln"):
		list, err := s.Listing()
		var all Listed
		for _, l := range list {
			lines = append(lines, l.String())
			all.Active += l.Active
			all.Inactive += l.Inactive
		}
		if byLot {
			lines = []string{fmt.Sprintf("%d active, %d inactive together", all.Active, all.Inactive)}
		}
		slices.Sort(lines)
		return lines, nil, err
	case s.Words[0] == "ipvsadm":
		if s.Refused() {
			return []string{"refused"}, nil, nil
		}
		return nil, nil, nil
	}
	return s.Output, nil, nil
}

// Refused says whether a command had an exit status other than 0.
func (s Step) Refused() bool {
	return slices.ContainsFunc(s.Output, func(line string) bool { return strings.HasPrefix(line, "exit ") })
}

// Meanwhile are the commands that are carried out while a step's connections are made: "tcp 3
// while ipvsadm -e ... ; ipvsadm -e ...".
func (s Step) Meanwhile() (commands [][]string) {
	i := slices.Index(s.Words, "while")
	if i < 0 {
		return nil
	}
	rest := s.Words[i+1:]
	for {
		end := slices.Index(rest, ";")
		if end < 0 {
			return append(commands, rest)
		}
		commands, rest = append(commands, rest[:end]), rest[end+1:]
	}
}

// Alike says whether two random outcomes may have the same odds: the totals of each server
// differ by at most five standard deviations, and a server with none in one has very few in
// the other.
func Alike(a, b map[string]int) bool {
	total := 0.0
	for _, n := range a {
		total += float64(n)
	}
	for _, counts := range []map[string]int{a, b} {
		for name := range counts {
			x, y := float64(a[name]), float64(b[name])
			p := (x + y) / (2 * total)
			if math.Abs(x-y) > 5*math.Sqrt(2*total*p*(1-p))+1e-9 {
				return false
			}
		}
	}
	return true
}
