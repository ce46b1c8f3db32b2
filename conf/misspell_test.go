package conf

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/conf/text"
)

// rightFiles are files without mistakes, by name.
func rightFiles(t *testing.T) (names []string, lines map[string][]string, warnings map[string]int) {
	t.Helper()
	lines, warnings = map[string][]string{}, map[string]int{}
	for _, pattern := range []string{"testdata/corpus/*.conf", "../examples/seed/*.conf"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range found {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			cfg, diags := parseMemory(memory{name: string(content)}, name)
			if cfg == nil || strings.Contains(string(content), "$") {
				continue
			}
			for _, layout := range []func(string) string{nil, nil, strings.TrimSpace, bracesApart} {
				as, shown := string(content), name
				if layout != nil {
					shown += fmt.Sprint(" laid out otherwise ", len(names))
					all := strings.Split(as, "\n")
					for i := range all {
						all[i] = layout(all[i])
					}
					as = strings.Join(all, "\n")
				}
				names = append(names, shown)
				lines[shown] = strings.Split(as, "\n")
				warnings[shown] = diags.Warnings()
			}
		}
	}
	return names, lines, warnings
}

// bracesApart is a line with its opening brace alone on the next one.
func bracesApart(line string) string {
	code, ok := strings.CutSuffix(line, " {")
	if !ok || strings.ContainsAny(code, "{#") || strings.TrimSpace(code) == "" {
		return line
	}
	return code + "\n" + line[:len(line)-len(strings.TrimLeft(line, " \t"))] + "{"
}

// quota is how many of a hundred mistakes have to be said once, and rightly.
const quota = 96

// mistake is a file with one mistake: what was done to it, and the word that a
// diagnostic has to name.
type mistake struct {
	name, what, word string
	lines            []string
}

// wantQuota makes mistakes by chance, and wants exactly one error for nearly all of them.
func wantQuota(t *testing.T, make func(*rand.Rand, string, []string) (mistake, bool)) {
	t.Helper()
	seed := *generatedSeed
	random := rand.New(rand.NewPCG(seed, 1))
	names, lines, warnings := rightFiles(t)
	made, missed := 0, 0
	var shown strings.Builder
	for made < max(400, *generatedFiles/2) {
		name := names[random.IntN(len(names))]
		m, ok := make(random, name, lines[name])
		if !ok {
			continue
		}
		made++
		_, diags := parseMemory(memory{"main": strings.Join(m.lines, "\n")}, "main")
		if diags.Errors() == 1 && diags.Warnings() <= warnings[name] && names1(diags, m.word) {
			continue
		}
		missed++
		fmt.Fprintf(&shown, "%s: %s\n%s\n", name, m.what, rendered(t, diags, false))
	}
	t.Logf("seed %d: %d of %d mistakes are said once and rightly", seed, made-missed, made)
	if missed*100 > made*(100-quota) {
		t.Errorf("seed %d: %d of %d mistakes are not said once and rightly:\n%s", seed, missed, made, shown.String())
	}
}

// names1 tells whether an error names a word.
func names1(diags text.Diagnostics, word string) bool {
	d := diags.All()[0]
	return word == "" || strings.Contains(d.Hint, `"`+word+`"`) || strings.Contains(d.Hint, "write "+word)
}

// TestMisspelledKeywords misspells one keyword of a file.
func TestMisspelledKeywords(t *testing.T) {
	l := tables()
	wantQuota(t, func(random *rand.Rand, name string, lines []string) (m mistake, ok bool) {
		n := random.IntN(len(lines))
		words := strings.Fields(lines[n])
		if len(words) == 0 || len(l.homes[words[0]]) == 0 || len(words[0]) < 4 || inList(lines, n) {
			return m, false
		}
		wrong := misspelled(random, words[0])
		if len(l.homes[wrong]) > 0 || wrong == words[0] {
			return m, false
		}
		m.lines = append([]string(nil), lines...)
		m.lines[n] = strings.Replace(lines[n], words[0], wrong, 1)
		m.name, m.word, m.what = name, words[0], fmt.Sprintf("line %d: %s became %s", n+1, words[0], wrong)
		return m, true
	})
}

// inList tells whether a line is one of a block without keywords: the block that is open
// there began with such a word.
func inList(lines []string, n int) bool {
	depth := 0
	for i := n - 1; i >= 0; i-- {
		line, _, _ := strings.Cut(lines[i], "#")
		depth += strings.Count(line, "}") - strings.Count(line, "{")
		if depth < 0 {
			words := strings.Fields(line)
			for _, list := range []string{"group", "virtual_", "static_", "track_", "unicast_peer", "notification_email", "interface", "linkbeat"} {
				if strings.HasPrefix(words[0], list) && !strings.HasPrefix(words[0], "virtual_server") && words[0] != "track_file" {
					return true
				}
			}
			return false
		}
	}
	return false
}

// misspelled is a word as fingers get it wrong.
func misspelled(random *rand.Rand, word string) string {
	i := 1 + random.IntN(len(word)-2)
	switch random.IntN(9) {
	case 0: // a letter lost
		return word[:i] + word[i+1:]
	case 1: // two swapped
		return word[:i] + word[i+1:i+2] + word[i:i+1] + word[i+2:]
	case 2: // one twice
		return word[:i] + word[i:i+1] + word[i:]
	case 3: // the neighbour's key
		return word[:i] + neighbour(random, word[i]) + word[i+1:]
	case 4: // one more
		return word[:i] + neighbour(random, word[i]) + word[i:]
	case 5: // another stroke
		return strings.Replace(word, "_", "-", 1)
	case 6: // no stroke
		return strings.Replace(word, "_", "", 1)
	case 7: // the plural
		return word + "s"
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// neighbour is a letter beside another on the keyboard.
func neighbour(random *rand.Rand, letter byte) string {
	for _, row := range []string{"qwertyuiop", "asdfghjkl", "zxcvbnm"} {
		if i := strings.IndexByte(row, letter); i >= 0 {
			return row[max(0, min(len(row)-1, i+2*random.IntN(2)-1)):][:1]
		}
	}
	return "x"
}

// TestBraceMistakes takes a brace out of a file, or puts one in.
func TestBraceMistakes(t *testing.T) {
	wantQuota(t, func(random *rand.Rand, name string, lines []string) (m mistake, ok bool) {
		n := random.IntN(len(lines))
		line := lines[n]
		code, _, _ := strings.Cut(line, "#")
		if strings.Contains(code, "!") || strings.Contains(code, `"`) {
			return m, false
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		what := random.IntN(8)
		m.lines = append([]string(nil), lines...)
		brace := strings.ContainsAny(code, "{}")
		switch {
		case what < 2 && strings.Count(code, "{") == 1 && strings.Count(code, "}") == 0:
			m.what, m.lines[n] = "no {", strings.Replace(line, "{", "", 1)
		case what < 4 && strings.TrimSpace(code) == "}":
			m.what, m.lines[n] = "no }", strings.Replace(line, "}", "", 1)
		case what == 4 && strings.TrimSpace(code) == "}":
			m.what, m.lines[n] = "} twice", line+"\n"+line
		case what == 5 && strings.Count(code, "{") == 1 && strings.Count(code, "}") == 0:
			m.what, m.lines[n] = "{ twice", strings.Replace(line, "{", "{ {", 1)
		case what == 6 && brace:
			m.what, m.lines[n] = "line lost", ""
		case what == 7 && !brace && n+1 < len(lines) && strings.TrimSpace(lines[n+1]) != "{" && strings.TrimSpace(code) != "" && n > 0 && strings.TrimSpace(lines[n-1]) != "":
			m.what, m.lines[n] = "} more", line+"\n"+indent+"}"
		default:
			return m, false
		}
		m.name, m.what = name, fmt.Sprintf("line %d, %q: %s", n+1, strings.TrimSpace(line), m.what)
		return m, true
	})
}

// TestEveryKeywordMisspelled misspells every keyword of every block, and wants the word
// that was meant to be the nearest.
func TestEveryKeywordMisspelled(t *testing.T) {
	seed := *generatedSeed
	random := rand.New(rand.NewPCG(seed, 2))
	made, missed := 0, []string{}
	all := tables().homes
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(name) < 4 {
			continue
		}
		for _, s := range all[name] {
			wrong := misspelled(random, name)
			if s.lookup(wrong) != nil {
				continue
			}
			made++
			if near := text.Nearest(wrong, s.names()); near != name {
				missed = append(missed, fmt.Sprintf("%s became %s, which is nearest to %q", name, wrong, near))
			}
		}
	}
	if len(missed)*100 > made*(100-quota) {
		t.Errorf("seed %d: %d of %d: %s", seed, len(missed), made, strings.Join(missed, "\n"))
	}
}
