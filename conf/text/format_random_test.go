package text

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	formatSeed  = flag.Uint64("format-seed", 1, "the seed of the texts that TestFormatTwice makes")
	formatTexts = flag.Int("format-texts", 30000, "how many texts TestFormatTwice makes")
)

// formatPieces are what texts are made of that are hard to lay out.
var formatPieces = []string{
	"a", "bc", "weight 1", "{", "}", " {", "{\n", "}\n", "\n", "\n", "\n", "\n\n\n", " ", "\t", "\r\n", "\r", "\v", "\f", "\\", "\\\n", "\\\r\n", " \\\n ",
	"#", "# c", "! c", "#c\\\n", "!", "\\#", "\"", "'", "\"q r\"", "'q r'", "\"#\"", "'#'", "\"{\"", "Bob's", "\\\"", "\"\\\\\"",
	"@", "@id", "@id a", "@^id ", "@id {", "@id }", "@id # c", "@ a", "@id @jd b", "@id \\\n", "@id\n",
	"$X=", "$X=1", "$X=a\\\nb", "$X", "${X}", "$", "${", "${_PWD}", "@id $X=1", "~SEQ(i, 2) a $i", "~SEQ(i, 2) {", "~LST(i, a, b) {", "~", "~SEQ(i, 2) a { b }", "@id ~SEQ(i,2) a",
	"include", "include x", "a{b}c", "{a,b}", "{{x}}", "\ufeff", "\u00a0", "\u2003", "“", "”", "é", "\xff", "\x00", "<<<<<<< x\n", "=======\n", ">>>>>>> y\n", "virtual_server 1.2.3.4 80 {\n", ";", "=",
}

// TestFormatTwice lays texts out that are made by chance: the layout of a layout is itself.
func TestFormatTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(*formatSeed, 0))
	taken, unsure := 0, 0
	for i := range *formatTexts {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteString(formatPieces[rng.IntN(len(formatPieces))])
			if rng.IntN(3) == 0 {
				b.WriteByte(" \n"[rng.IntN(2)])
			}
		}
		for range strings.Count(b.String(), "{") - strings.Count(b.String(), "}") {
			b.WriteString("\n}")
		}
		once, diags := Format("main", []byte(b.String()))
		if diags.HasErrors() {
			if diags.All()[0].Line == 0 {
				unsure++
				t.Logf("text %d of -format-seed %d cannot be laid out: %q", i, *formatSeed, b.String())
			}
			continue
		}
		taken++
		twice, diags := Format("main", once)
		if diags.HasErrors() || string(twice) != string(once) {
			t.Fatalf("text %d of -format-seed %d: %q became %q and then %q: %v", i, *formatSeed, b.String(), once, twice, diags.All())
		}
	}
	if taken < *formatTexts/10 || unsure > *formatTexts/10000 {
		t.Errorf("%d of %d texts can be laid out; %d others have two layouts", taken, *formatTexts, unsure)
	}
}
