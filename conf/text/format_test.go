package text

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"blanks", "a   b\t c \r\n\n\n\nd\n\n", "a b c\n\nd\n"},
		{"blocks", "a{\nb 1\n\n}\nc\n{\n\nd { e 2 } }\n", "a {\n    b 1\n}\nc {\n    d {\n        e 2\n    }\n}\n"},
		{"comments", "#x\na { # y\n !z\nb 1#w\n} # v\n", "#x\na { # y\n    !z\n    b 1 #w\n} # v\n"},
		{"a comment before the brace", "a # x\n# y\n{\nb\n}\n", "a { # x\n    # y\n    b\n}\n"},
		{"quotes stay", "a \"b  {\"  'c  # d\n", "a \"b  {\"  'c  # d\n"},
		{"a comment sign in quotes", "a  \"b  # c\"  # d\n", "a \"b  # c\" # d\n"},
		{"definitions stay", " $A=x  y \\\n   z {\\\n }\nb  $A\n", "$A=x  y \\\n   z {\\\n }\nb $A\n"},
		{"repetitions stay", "v {\n~LST({a, b},  {1, 2})   c ${a}\n}\n", "v {\n    ~LST({a, b},  {1, 2})   c ${a}\n}\n"},
		{"a repeated block", "~SEQ(i,2) v $i {\nb\n}\n", "~SEQ(i,2) v $i {\n    b\n}\n"},
		{"config ids", "v {\n@lb1   a  1\n@^lb1\tb {\nc\n}\n}\n", "v {\n    @lb1 a 1\n    @^lb1 b {\n        c\n    }\n}\n"},
		{"a closing brace for a config id", "a {\nb\n  @  }\n}\n", "a {\n    b\n@ }\n}\n"},
		{"a block that each config id begins otherwise", "v {\n@id  a {\n@^id   b {\nc\n@id  }\n@^id }\n}\n", "v {\n    @id a {\n    @^id b {\n        c\n    @id }\n    @^id }\n}\n"},
		{"an opening brace for a config id", "a\n@id   {\nb\n}\n", "a\n@id {\n    b\n}\n"},
		{"a brace behind a line for a config id", "@id  a\n{\nb\n}\n", "@id a\n{\n    b\n}\n"},
		{"a block for a config id", "@id a{b   1}\n}\n@^id a { b 2 } # c\n", "@id a { b 1}\n}\n@^id a { b 2 } # c\n"},
		{"a comment for a config id", "@id   # c\n@id a#c\\\nb\n", "@id # c\n@id a #c\\\nb\n"},
		{"two config ids", "@id  @^jd\ta  1\n@id @jd $A=b   c\n", "@id @^jd a 1\n@id @jd $A=b   c\n"},
		{"a repetition for a config id", "@id   ~SEQ(i, 2) v $i {\nb\n}\n", "@id ~SEQ(i, 2) v $i {\n    b\n}\n"},
		{"a name before a brace", "a $A\n{\nb\n}\nv  $A {\nb\n}\n", "a $A\n{\n    b\n}\nv $A {\n    b\n}\n"},
		{"a name in a block on one line", "v {\na {   $A  }\n$A }\n", "v {\n    a { $A }\n    $A }\n"},
		{"an include in a block on one line", "a {  include x  }\n", "a { include x }\n"},
		{"a brace behind an include", "a {\ninclude x\n{\nb\n}\n}\n", "a {\n    include x\n    {\n        b\n    }\n}\n"},
		{"a continued line", "a \\\n   b\n", "a b\n"},
		{"byte order mark", "\ufeffa\n", "a\n"},
		{"no last newline", "a {\n}", "a {\n}\n"},
		{"nothing", "\n\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, diags := Format("test.conf", []byte(tt.in))
			if tt.name == "quotes stay" {
				if !diags.HasErrors() || string(got) != tt.in {
					t.Errorf("an unclosed quote: got %q, %v; want it left alone, and an error", got, diags.All())
				}
				return
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || diags.HasErrors() {
				t.Errorf("(-want +got):\n%s%v", diff, diags.All())
			}
			if again, _ := Format("test.conf", got); string(again) != string(got) {
				t.Errorf("twice gives something else (-once +twice):\n%s", cmp.Diff(string(got), string(again)))
			}
		})
	}
	for _, in := range []string{"a {\n", "}\n", "a { }\n}\n", "a \"b\n", "a\x00\n", "a { @b }\n", "a { ~b }\n", "a { $B=c }\n",
		"@id a { @b }\n", "@id a \\\nb\n", "@id \\\nb\n", "a $A \\\nb\n", "a \\\n@id b\n", "a \\\n~SEQ(i, 2) b\n", "a \\\n$A=b\n", "@id a \\ \nb\n",
	} {
		if got, diags := Format("test.conf", []byte(in)); string(got) != in || diags.Errors() != 1 {
			t.Errorf("%q: got %q and %v, want it left alone and one error", in, got, diags.All())
		}
	}
}
