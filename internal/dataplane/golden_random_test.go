package dataplane

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/test/conformance"
)

var recorded = flag.String("recorded", "../../test/conformance/testdata/recorded/*.txt", "files of random scenarios with what IPVS did, for TestRecordedScenarios")

// TestRecordedScenarios replays random scenarios with what the real IPVS did, as recorded by
// test/vm/play (see TestScenarios there).
func TestRecordedScenarios(t *testing.T) {
	paths, err := filepath.Glob(*recorded)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file %s: %v", *recorded, err)
	}
	planes := goldenPlanes(t)
	for _, path := range paths {
		scenarios, err := conformance.LoadRecorded(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scenarios {
			compare := compareServed
			if slices.ContainsFunc(s.Steps, func(s conformance.Step) bool { return strings.HasSuffix(strings.Join(s.Words, " "), " -s twos") }) {
				compare = compareLots
			}
			t.Run(s.Name, func(t *testing.T) {
				t.Parallel()
				b := <-planes
				defer func() { planes <- b }()
				b.ns.Do(func() {
					b.anew(t)
					b.replay(t, s, compare)
				})
			})
		}
	}
}

// compareServed compares who answered; a client that nobody answers is the same however it
// learns that.
func compareServed(got, want []string) string {
	return compareInOrder(whoServed(got), whoServed(want))
}

// compareLots compares how often each server answered, within the odds.
func compareLots(got, want []string) string {
	count := func(picks []string) map[string]int {
		n := map[string]int{}
		for _, p := range whoServed(picks) {
			n[p]++
		}
		return n
	}
	if g, w := count(got), count(want); !conformance.Alike(w, g) {
		return fmt.Sprintf("got %v, want about %v", g, w)
	}
	return ""
}

// whoServed are the picks with one word for all that nobody answered.
func whoServed(picks []string) (all []string) {
	for _, p := range picks {
		if p == "refused" || p == "timeout" || p == "reset" || strings.HasPrefix(p, "error:") {
			p = "none"
		}
		all = append(all, p)
	}
	return all
}
