// Package conformance reads what the real IPVS did, scenario by scenario.
package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Scenario is one recorded file.
type Scenario struct {
	Name  string
	Steps []Step
}

// Step is a command and what came of it, line by line.
type Step struct {
	Line   int
	Words  []string // the command: "tcp", "9", "hold"
	Output []string
}

// Load reads the scenarios of a folder, by name.
func Load(dir string) ([]Scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s := Scenario{Name: strings.TrimSuffix(filepath.Base(path), ".txt")}
		if s.Steps, err = Parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenario in %s", dir)
	}
	return all, nil
}

// Parse reads one scenario.
func Parse(text string) (steps []Step, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, Step{Line: n, Words: strings.Fields(command)})
			continue
		}
		if len(steps) == 0 {
			return nil, fmt.Errorf("line %d: output before the first step", n)
		}
		last := &steps[len(steps)-1]
		last.Output = append(last.Output, line)
	}
	return steps, nil
}

// Flow is what came of one address's connections: the first one's addresses, and
// for each connection the server that answered, "refused" or "timeout".
type Flow struct {
	From, To netip.AddrPort
	Picks    []string
}

// Flows are the outcomes of a step that sends traffic. Lines that go on from the
// one before are indented.
func (s Step) Flows() (flows []Flow, err error) {
	for _, line := range s.Output {
		words := strings.Fields(line)
		if strings.HasPrefix(line, " ") && len(flows) > 0 {
			last := &flows[len(flows)-1]
			last.Picks = append(last.Picks, words...)
			continue
		}
		if len(words) < 4 || words[1] != "->" {
			return nil, fmt.Errorf("line under %d: %q is no flow", s.Line, line)
		}
		f := Flow{Picks: words[3:]}
		if f.From, err = netip.ParseAddrPort(words[0]); err != nil {
			return nil, err
		}
		if f.To, err = netip.ParseAddrPort(words[2]); err != nil {
			return nil, err
		}
		flows = append(flows, f)
	}
	return flows, nil
}
