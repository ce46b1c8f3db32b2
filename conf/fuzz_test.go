package conf

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// corpus are texts for the fuzzers to begin with.
func corpus(f *testing.F) {
	f.Add(seedText(f))
	for _, text := range []string{
		"", "\ufeff", "{", "}", "a{", "a \\\r\n{\r\n}", `"`, "'", `"\x`, `"\c`, "${", "x${a b}",
		"vrrp_instance V {\nvirtual_ipaddress {\n1.2.3.4/24 dev eth0\n}\n}",
		"virtual_server 1.2.3.4 80 {\nreal_server ::1 {\nTCP_CHECK\n}\n",
		"include a\ninclude {a,b}*\n", "$A=1\n@x y {\n~SEQ(i,2) $A\n}", "weir { device e0 { hook tc } }",
		"global_defs { notification_email { a@b 'c d' } } }", "\xff\xfe{\x00",
	} {
		f.Add(text)
	}
}

func FuzzLexer(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, text string) {
		var diags collector
		tokens := lex(&source{name: "fuzz", text: text}, &diags, nil)
		if tokens[len(tokens)-1].kind != endToken {
			t.Fatal("the last token is not the end")
		}
		end := int32(0)
		for _, tok := range tokens {
			if tok.start < end || tok.end < tok.start || int(tok.end) > len(text) {
				t.Fatalf("token %+v is out of order or outside the text", tok)
			}
			end = tok.end
			checkPlace(t, text, int(tok.line), int(tok.column))
		}
		for _, d := range diags.list {
			checkPlace(t, text, d.Line, d.Column)
		}
	})
}

// FuzzParse reads a text that may include itself and others.
func FuzzParse(f *testing.F) {
	corpus(f)
	f.Fuzz(func(t *testing.T, text string) {
		texts := memory{"main": text, "a": "weight 1\n}\ninclude b", "b": "include a\ninclude main\n{"}
		start := time.Now()
		cfg, diags := parseMemory(texts, "main")
		var shown bytes.Buffer
		if err := diags.Render(&shown, false); err != nil {
			t.Fatal(err)
		}
		// A second for each 16 KiB is twenty times what the slowest texts take.
		if took := time.Since(start); took > time.Second*time.Duration(1+len(text)>>14) {
			t.Errorf("%d bytes took %v", len(text), took)
		}
		if (cfg == nil) != diags.HasErrors() {
			t.Errorf("a Config is there: %v, errors are there: %v", cfg != nil, diags.HasErrors())
		}
		for _, d := range diags.All() {
			checkPlace(t, texts[d.File], d.Line, d.Column)
			if d.Message == "" || strings.ContainsAny(d.Message, "\n\x1b") {
				t.Errorf("message %q", d.Message)
			}
		}
		if strings.Contains(shown.String(), "\x1b") {
			t.Error("an escape of the text reached the terminal")
		}
	})
}

// checkPlace wants a line and column inside the text, or just behind its end.
func checkPlace(t *testing.T, text string, line, column int) {
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
