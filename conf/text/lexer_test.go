package text

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLex shows tokens as "line:column text", braces as they are, and a line's
// end as a semicolon.
func TestLex(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"words", "priority  100\tx", "1:1 priority|1:11 100|1:15 x"},
		{"lines", "a\n\n b", "1:1 a|;|;|3:2 b"},
		{"CRLF line ends", "a b\r\nc\r\n", "1:1 a|1:3 b|;|2:1 c|;"},
		{"byte order mark", "\ufeffa", "1:1 a"},
		{"columns count runes", "名前 é x", "1:1 名前|1:4 é|1:6 x"},
		{"bytes that are no UTF-8 count one", "\xff\xfe x", "1:1 \xff\xfe|1:4 x"},
		{"comments", "a #b\n!c\nd!e\nf#{", "1:1 a|;|;|3:1 d|;|4:1 f"},
		{"comment signs behind a backslash", "a\\#b c\n\\!d\ne\\\\!f", "1:1 a|;|;|3:1 e\\\\"},
		{"comment signs in quotes", `"a #b" "!c"`, "1:1 a #b|1:8 !c"},
		{"a comment ends single quotes' reach", "b'c # d'", "1:1 b'c"},
		{"quotes", `"a b" 'c d' "" x`, `1:1 a b|1:7 c d|1:13 |1:16 x`},
		{"quotes within a word", `ab" c"d 'e f'g`, "1:1 ab cd|1:9 e fg"},
		{"an apostrophe", "Bob's x", "1:1 Bob's|1:7 x"},
		{"one kind of quote in the other", `"it's" 'say "x"'`, `1:1 it's|1:8 say "x"`},
		{"escapes in quotes", `"a\tb\"\\\x41\101\cA\q"`, "1:1 a\tb\"\\AA\x01q"},
		{"no escapes in single quotes", `'a\t'`, `1:1 a\t`},
		{"block", "a {\n}", "1:1 a|1:3 {|;|2:1 }"},
		{"brace glued to its name", "check{\n}", "1:1 check|1:6 {|;|2:1 }"},
		{"block on a line", "a { b 1 }", "1:1 a|1:3 {|1:5 b|1:7 1|1:9 }"},
		{"braces glued to words", "a{b", "1:1 a|1:2 {|1:3 b"},
		{"a closing brace after a word is text", "a 1}", "1:1 a|1:3 1}"},
		{"a closing brace before a comment", "} # x", "1:1 }"},
		{"braces in quotes", `"{" '}'`, "1:1 {|1:5 }"},
		{"a pair of braces in a word is text", "include x/{a,b}.conf ${N}y", "1:1 include|1:9 x/{a,b}.conf|1:22 ${N}y"},
		{"blanks in braces after a dollar", "${_RANDOM 0 9} x", "1:1 ${_RANDOM 0 9}|1:16 x"},
		{"continued line", "a \\\n  b\nc", "1:1 a|2:3 b|;|3:1 c"},
		{"continued line with CRLF", "a\\\r\nb", "1:1 a|2:1 b"},
		{"a backslash alone is text", `a\b \`, `1:1 a\b|1:5 \`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags Collector
			got := describe(lex(&Source{Name: "test", Text: tt.in}, &diags, nil))
			if diff := cmp.Diff(tt.want, got); diff != "" || diags.Counts[Error] > 0 {
				t.Errorf("tokens of %q (-want +got):\n%s\ndiagnostics: %v", tt.in, diff, diags.list)
			}
		})
	}
}

func describe(tokens []Token) string {
	var parts []string
	for _, t := range tokens[:len(tokens)-1] {
		switch t.kind {
		case lineToken:
			parts = append(parts, ";")
		case openToken:
			parts = append(parts, fmt.Sprintf("%d:%d {", t.line, t.column))
		case closeToken:
			parts = append(parts, fmt.Sprintf("%d:%d }", t.line, t.column))
		default:
			parts = append(parts, fmt.Sprintf("%d:%d %s", t.line, t.column, t.Text))
		}
	}
	return strings.Join(parts, "|")
}

func TestLexMistakes(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"double quote", "a \"b\nc", `1:3 the quote " is not closed`},
		{"double quote at the end", `a "`, `1:3 the quote " is not closed`},
		{"double quote before CRLF", "a \"b\r\nc", `1:3 the quote " is not closed`},
		{"single quote at a word's start", "a 'b\nc", "1:3 the quote ' is not closed"},
		{"comment in single quotes", "a 'b # c'", "1:3 the quote ' is not closed"},
		{"UTF-16", "\xff\xfea\x00", "1:1 this is UTF-16"},
		{"NUL", "a\nb\x00{", "2:2 a NUL byte: this is not a text file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags Collector
			lex(&Source{Name: "test", Text: tt.in}, &diags, nil)
			if len(diags.list) != 1 {
				t.Fatalf("got %d diagnostics, want 1: %v", len(diags.list), diags.list)
			}
			d := diags.list[0]
			if got := fmt.Sprintf("%d:%d %s", d.Line, d.Column, d.Message); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
