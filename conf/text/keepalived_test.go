package text

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Texts that are held to the real keepalived, the same in every run.
var (
	generatedTexts = flag.Int("texts", 40, "how many texts of definitions are held to the real keepalived")
	generatedSeed  = flag.Uint64("texts-seed", 1, "the seed of these texts")
)

// unknownKeyword is what keepalived says of a line, whose first word it repeats. Only its
// first process names no file.
var unknownKeyword = regexp.MustCompile(`(?m)^.*\(Line \d+\) Unknown keyword '(.*)'$`)

// TestDefinitionsAsKeepalived makes texts of definitions, repetitions and uses by chance,
// and wants each line to stand for what it stands for in the real keepalived: it names
// the first word of every line, which is no keyword.
func TestDefinitionsAsKeepalived(t *testing.T) {
	seed := *generatedSeed
	random := rand.New(rand.NewPCG(seed, 0))
	for made := 0; made < *generatedTexts; {
		text := definitionText(random)
		want := saidByKeepalived(t, text)
		if strings.ContainsAny(want, "${}~") {
			continue // a use that is none: its braces are those of a block
		}
		made++
		got, diags := reads(t, text)
		if diags.Counts[Error] > 0 {
			t.Fatalf("seed %d: %v\nof\n%s", seed, diags.list, text)
		}
		var words []string
		for line := range strings.SplitSeq(got, "|") {
			if first := strings.Fields(line); len(first) > 0 {
				words = append(words, first[0])
			}
		}
		if strings.Join(words, "\n") != want {
			t.Fatalf("seed %d: lines begin with\n%s\nin keepalived with\n%s\nof\n%s", seed, strings.Join(words, "\n"), want, text)
		}
	}
}

// saidByKeepalived are the first words of a text's lines, as keepalived reads them.
func saidByKeepalived(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("keepalived", "-t", "-i", "node01", "-f", path).CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	var words []string
	for _, m := range unknownKeyword.FindAllSubmatch(out, -1) {
		if !bytes.Contains(m[0], []byte(path)) {
			words = append(words, string(m[1]))
		}
	}
	return strings.Join(words, "\n")
}

// definitionText is a text of definitions, of one or several lines, and of their uses.
func definitionText(random *rand.Rand) string {
	var b strings.Builder
	names := []string{"A", "B", "C", "D"}
	fmt.Fprint(&b, "$A=a0\n$B=b0\n$C=c0\n$D=d0\n$E=e0\n$N=n0\n$M=m0\n")
	for range 4 + random.IntN(8) {
		name := names[random.IntN(len(names))]
		switch random.IntN(6) {
		case 0: // a definition of one line, whose names come later in the list: no circles
			fmt.Fprintf(&b, "$%s=%s\n", name, definitionValue(random, name))
		case 1, 2: // of several
			fmt.Fprintf(&b, "$%s=", name)
			if random.IntN(2) == 0 {
				fmt.Fprint(&b, definitionValue(random, name))
			}
			for range 1 + random.IntN(3) {
				fmt.Fprintf(&b, " \\\n%s%s", strings.Repeat(" ", random.IntN(3)), definitionLine(random, name))
			}
			fmt.Fprint(&b, "\n")
		default:
			fmt.Fprintln(&b, definitionLine(random, ""))
		}
	}
	return b.String()
}

// later are the names behind one, all of them behind none.
func later(random *rand.Rand, name string) string {
	all := "ABCDE"
	if name != "" {
		all = all[strings.Index(all, name)+1:]
	}
	return all[random.IntN(len(all)):][:1]
}

// definitionValue is a value that uses later names.
func definitionValue(random *rand.Rand, name string) string {
	return fmt.Sprintf("v%d_${%s}", random.IntN(9), later(random, name))
}

// definitionLine is a line that uses names behind one, defines, repeats, or is for an id.
func definitionLine(random *rand.Rand, name string) string {
	use := later(random, name)
	switch random.IntN(9) {
	case 0:
		return "w_$" + use
	case 1:
		return "$" + use
	case 2:
		return fmt.Sprintf("w_${%s}_x", use)
	case 3:
		return fmt.Sprintf("~SEQ(N,%d,%d) w_${N}_$%s", random.IntN(3), random.IntN(4), use)
	case 4:
		return fmt.Sprintf("~LST({N,M},{1,x},{2,y}) $%s", use)
	case 5:
		return fmt.Sprintf("@node0%d w_${%s}", 1+random.IntN(2), use)
	case 6:
		if name != "" {
			// keepalived 2.2.7 goes on where a comment ends in a backslash, 2.4.3 does not.
			return fmt.Sprintf("@^node0%d w", 1+random.IntN(2))
		}
		return fmt.Sprintf("@^node0%d w # $%s", 1+random.IntN(2), use)
	case 7:
		return fmt.Sprintf("$E=e%d_${N}", random.IntN(9))
	}
	return fmt.Sprintf("w_${N}_${%s}", use)
}
