package conf

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// unsaid is what -update writes as the subject of a word that the list did not have.
const unsaid = "?"

// TestNotYet holds the list of the words that weir reads and does not act upon yet, each with
// the subject that brings it. A word that is built leaves the list, one that is new comes into
// it (-update), and its subject is written by hand.
func TestNotYet(t *testing.T) {
	const name = "testdata/not-yet.txt"
	listed, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	subjects := map[string]string{}
	for line := range strings.Lines(string(listed)) {
		word, subject, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		subjects[word] = subject
	}
	var list bytes.Buffer
	for _, word := range notYetWords() {
		subject := subjects[word]
		if subject == "" {
			subject = unsaid
		}
		if subject == unsaid {
			t.Errorf("%s: say in %s which subject brings it", word, name)
		}
		fmt.Fprintf(&list, "%s: %s\n", word, subject)
	}
	goldenFile(t, name, list.Bytes())
}

// notYetWords are the words without their effects, each with the block that it stands in, in
// the order of their names.
func notYetWords() (words []string) {
	seen := map[*blockSpec]bool{}
	var visit func(*blockSpec)
	visit = func(s *blockSpec) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, e := range s.entries {
			if e.effect == notYet {
				words = append(words, strings.TrimSpace(s.name+" "+e.name))
			}
			if e.inner != nil {
				visit(e.inner)
			}
		}
	}
	visit(keepalived().root)
	slices.Sort(words)
	return slices.Compact(words)
}
