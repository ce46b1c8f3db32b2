// Package conformance reads, compares and generates scenarios: steps of ipvsadm and of
// traffic, with what the real IPVS did at each (testdata/README.md).
package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Scenario is a recorded file.
type Scenario struct {
	Name  string
	Steps []Step
}

// Step is a command and its outcome, line by line.
type Step struct {
	Line   int
	Words  []string // the command: "tcp", "9", "hold"
	Output []string
}

// Load reads the scenarios of a folder, sorted by name, which is the file's without its
// extension. A folder without a scenario is an error.
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

// Parse reads the steps of one scenario. A line that begins with # is a comment.
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

// Flow is the outcome of the connections from one address: the addresses of the first one,
// and for each connection the server that answered, "refused" or "timeout".
type Flow struct {
	From, To netip.AddrPort
	Picks    []string
}

// Flows are the outcomes of a step that sends traffic. An indented line continues the one
// before it.
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

// LoadRecorded reads a file of random scenarios, as test/vm/play records them: one after the
// other, each begins with the comment that names its seed and number. Those that the machine
// was too slow for ("# too slow:" stands above) are left out.
func LoadRecorded(path string) (all []Scenario, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parts := strings.Split("\n"+string(text), "\n# seed ")
	for i, part := range parts[1:] {
		if strings.HasSuffix(parts[i], "\n"+TooSlow) {
			continue
		}
		name, steps, _ := strings.Cut(strings.TrimSuffix(part, "\n"+TooSlow), "\n")
		s := Scenario{Name: "seed " + name}
		if s.Steps, err = Parse(steps); err != nil {
			return nil, fmt.Errorf("%s: seed %s: %w", path, name, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no scenario in %s", path)
	}
	return all, nil
}

// TooSlow is the line above a recorded scenario that the machine was too slow for: IPVS did
// not do the same twice in a row. Its outcome does not count.
const TooSlow = "# too slow:"
