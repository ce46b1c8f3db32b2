package text

import (
	"os"
	"strings"
	"testing"

	"weir/test/mutate"
)

func FuzzLexer(f *testing.F) { mutate.Fuzz(f, fuzzTexts(f), checkLexer) }

func TestLexerMutations(t *testing.T) { mutate.Test(t, "FuzzLexer", fuzzTexts(t), checkLexer) }

func checkLexer(t *testing.T, text string) {
	var diags Collector
	tokens := lex(&Source{Name: "fuzz", Text: text}, &diags, nil)
	if tokens[len(tokens)-1].kind != endToken {
		t.Fatal("the last token is not the end")
	}
	end := int32(0)
	for _, tok := range tokens {
		if tok.start < end || tok.end < tok.start || int(tok.end) > len(text) {
			t.Fatalf("token %+v is out of order or outside the text", tok)
		}
		end = tok.end
		wantPlace(t, text, int(tok.line), int(tok.column))
	}
	for _, d := range diags.list {
		wantPlace(t, text, d.Line, d.Column)
	}
}

// fuzzTexts are texts for the fuzzers to begin with.
func fuzzTexts(t testing.TB) mutate.Seeds {
	seed, err := os.ReadFile("../../examples/seed/master.conf")
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Of(
		string(seed),
		"", "\ufeff", "{", "}", "a{", "a \\\r\n{\r\n}", `"`, "'", `"\x`, `"\c`, "${", "x${a b}",
		"vrrp_instance V {\nvirtual_ipaddress {\n1.2.3.4/24 dev eth0\n}\n}",
		"virtual_server 1.2.3.4 80 {\nreal_server ::1 {\nTCP_CHECK\n}\n",
		"include a\ninclude {a,b}*\n", "$A=1\n@x y {\n~SEQ(i,2) $A\n}", "weir { device e0 { hook tc } }",
		"global_defs { notification_email { a@b 'c d' } } }", "\xff\xfe{\x00",
	)
}

// wantPlace wants a line and column inside the text, or just behind its end.
func wantPlace(t *testing.T, text string, line, column int) {
	t.Helper()
	// A line of the text at a time, so that long texts stay cheap.
	rest := text
	for n := 1; n < line; n++ {
		_, after, found := strings.Cut(rest, "\n")
		if !found {
			t.Fatalf("line %d is outside the text", line)
		}
		rest = after
	}
	own, _, _ := strings.Cut(rest, "\n")
	if runes := len([]rune(own)); column < 1 || column > runes+1 {
		t.Fatalf("column %d is outside line %d of %d runes", column, line, runes)
	}
}
