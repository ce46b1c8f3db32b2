package conf

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// seedText is the seed's master configuration.
func seedText(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../examples/seed/master.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestOneMistakeOneDiagnostic makes every single mistake of some kinds in the
// seed's file, one at a time, and wants exactly one error for each.
func TestOneMistakeOneDiagnostic(t *testing.T) {
	seed := strings.Split(seedText(t), "\n")
	made := 0
	defer func() { t.Logf("%d mistakes", made) }()
	for n, line := range seed {
		for what, mutant := range mutants(line) {
			if mutant == line {
				continue
			}
			made++
			lines := append([]string(nil), seed...)
			lines[n] = mutant
			_, diags := parseLinted("seed.conf", []byte(strings.Join(lines, "\n")))
			if diags.Errors() != 1 {
				var shown strings.Builder
				diags.Render(&shown, false)
				t.Errorf("line %d, %s: %q became %q: %d errors, want 1\n%s", n+1, what, line, mutant, diags.Errors(), shown.String())
			}
		}
	}
}

// TestMovedLines loses each line of the seed's file, and writes each twice:
// never more than one error, and one wherever a brace is concerned.
func TestMovedLines(t *testing.T) {
	for _, indent := range []bool{true, false} {
		seed := strings.Split(strings.TrimSpace(seedText(t)), "\n")
		for n, line := range seed {
			if !indent {
				for i := range seed {
					seed[i] = strings.TrimSpace(seed[i])
				}
			}
			lost := append(append([]string(nil), seed[:n]...), seed[n+1:]...)
			twice := append(append([]string(nil), seed[:n+1]...), seed[n:]...)
			code, _, _ := strings.Cut(line, "#")
			for what, lines := range map[string][]string{"lost": lost, "twice": twice} {
				_, diags := parseLinted("seed.conf", []byte(strings.Join(lines, "\n")))
				if n := diags.Errors(); n > 1 || n == 0 && strings.ContainsAny(code, "{}") {
					var shown strings.Builder
					diags.Render(&shown, false)
					t.Errorf("%q %s (indented %v): %d errors\n%s", line, what, indent, n, shown.String())
				}
			}
		}
	}
}

// mutants are the ways to break one line.
func mutants(line string) map[string]string {
	code, comment := line, ""
	if i := strings.Index(line, "#"); i >= 0 {
		code, comment = line[:i], line[i:]
	}
	words := strings.Fields(code)
	if len(words) == 0 {
		return nil
	}
	out := map[string]string{}
	if strings.Contains(code, "{") {
		out["no opening brace"] = strings.Replace(code, "{", "", 1) + comment
		out["opening brace twice"] = strings.Replace(code, "{", "{ {", 1) + comment
	}
	if strings.Contains(code, "}") {
		out["no closing brace"] = comment
		out["closing brace twice"] = code + "}" + comment
		out["closing brace twice, on lines"] = code + "\n" + code + comment
		return out
	}
	if word := words[0]; !strings.Contains(word, ".") {
		out["letter lost"] = strings.Replace(code, word, word[:2]+word[3:], 1) + comment
		out["letters swapped"] = strings.Replace(code, word, word[:1]+word[2:3]+word[1:2]+word[3:], 1) + comment
		out["letter more"] = strings.Replace(code, word, word+"x", 1) + comment
		out["other word"] = strings.Replace(code, word, "quux", 1) + comment
	}
	if strings.Contains(code, "{") || len(words) < 2 || words[0] == "nat_mask" {
		return out
	}
	out["stray brace after"] = code + "\n" + strings.Repeat(" ", len(code)-len(strings.TrimLeft(code, " "))) + "}" + comment
	if words[0] != "persistence_timeout" { // alone it means 360 s
		out["no value"] = strings.Replace(code, words[1], "", 1) + comment
	}
	out["value too many"] = code + " quux" + comment
	out["unclosed quote"] = strings.Replace(code, words[1], `"`+words[1], 1) + comment
	if words[0] != "router_id" && words[0] != "auth_pass" && words[0] != "interface" {
		out["bad value"] = fmt.Sprintf("%s %s", strings.Replace(code, words[1], "qu/ux", 1), comment)
	}
	return out
}
