package pcre

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

// patterns are regular expressions, their options (of keepalived, by commas), and the
// texts that they are tried on.
var patterns = []struct {
	pattern, options string
	texts            []string
}{
	{`hello`, "", []string{"say hello", "hell", "HELLO", ""}},
	{`hello`, "caseless", []string{"say HeLLo", "help"}},
	{`h.llo`, "", []string{"hallo", "h\nllo", "h\x80llo"}},
	{`h.llo`, "dotall", []string{"h\nllo"}},
	{`^OK$`, "", []string{"OK", "OK\n", "OK\n\n", "x\nOK", "OK\nx"}},
	{`^OK$`, "multiline", []string{"OK", "OK\n", "x\nOK", "OK\nx", "x\nOK\ny", "OKx"}},
	{`^OK$`, "dollar_endonly", []string{"OK", "OK\n"}},
	{`^OK$`, "multiline,dollar_endonly", []string{"OK\nx"}},
	{`^`, "multiline", []string{"", "\n", "a\n"}},
	{`x^`, "multiline", []string{"x\n", "x\ny"}},
	{`\n^`, "multiline", []string{"x\n", "x\ny"}},
	{`\n^`, "multiline,alt_circumflex", []string{"x\n", "x\ny"}},
	{`$`, "", []string{"", "a\n", "a"}},
	{`a$\n`, "", []string{"a\n"}},
	{`\Aab`, "multiline", []string{"ab", "x\nab"}},
	{`ab\Z`, "", []string{"ab", "ab\n", "ab\nx"}},
	{`ab\z`, "", []string{"ab", "ab\n"}},
	{`\Gab`, "", []string{"ab", "xab"}},
	{`\bcat\b`, "", []string{"a cat", "concat", "cat_", "cat\xe9", "cat."}},
	{`\Bcat`, "", []string{"a cat", "concat"}},
	{`\d+`, "", []string{"abc 123", "\xb2"}},
	{`\D+`, "", []string{"123", "12a3", "\x80"}},
	{`\w+`, "", []string{"\xe9\xe8", "_a1 ", "-"}},
	{`\W`, "", []string{"\xe9", "a", "-"}},
	{`\s`, "", []string{"\v", "\xa0", "\x85", "\x1c", " "}},
	{`\S`, "", []string{"\v", "\xa0", " \t"}},
	{`\h+`, "", []string{"\t", "\xa0", "\n", "  "}},
	{`\H`, "", []string{"\t", "\xa0", "\n"}},
	{`\v`, "", []string{"\n", "\v", "\x85", " "}},
	{`\V`, "", []string{"\n", "\x85", " "}},
	{`\N+`, "dotall", []string{"ab\ncd", "\n"}},
	{`\R`, "", []string{"\r\n", "\r", "\n", "\x85", "\v", "a"}},
	{`^\R$`, "", []string{"\r\n", "\n\r"}},
	{`\R\n`, "", []string{"\r\n", "\r\n\n"}},
	{`\X`, "", []string{"\r\n", "a", ""}},
	{`a\Cb`, "", []string{"a\nb", "a\x80b", "ab"}},
	{`\x41\x{42}\103`, "", []string{"ABC"}},
	{`\xff`, "", []string{"\xff", "\xc3\xbf"}},
	{`\x{ff}`, "utf", []string{"\xff", "\xc3\xbf"}},
	{`\x{20ac}`, "utf", []string{"€", "e"}},
	{`\x`, "", []string{"\x00", "x"}},
	{`\o{101}`, "", []string{"A"}},
	{`\0`, "", []string{"\x00", "0"}},
	{`\012`, "", []string{"\n"}},
	{`\cA`, "", []string{"\x01"}},
	{`\a\e\f\n\r\t`, "", []string{"\a\x1b\f\n\r\t"}},
	{`\.\*\[\]\(\)\{\}\\\/\-`, "", []string{`.*[](){}\/-`}},
	{`\_\ \!\"`, "", []string{`_ !"`}},
	{`\Qa.b*c\E+`, "", []string{"a.b*ccc", "axbc"}},
	{`\Qa.b`, "", []string{"a.b", "axb"}},
	{`a\Q\Eb`, "", []string{"ab"}},
	{`\E`, "", []string{"", "E"}},
	{`[abc]+`, "", []string{"xxcab", "xyz"}},
	{`[^abc]+`, "", []string{"abcx\n", "abc"}},
	{`[a-c]+`, "caseless", []string{"xABC"}},
	{`[]a]+`, "", []string{"]a", "b"}},
	{`[^]a]+`, "", []string{"]a", "b"}},
	{`[a\]b]+`, "", []string{"]"}},
	{`[a-]+`, "", []string{"-a"}},
	{`[-a]+`, "", []string{"-a"}},
	{`[a\-c]+`, "", []string{"-", "b"}},
	{`[\d-z]+`, "", []string{"-", "5z", "a"}},
	{`[a-\d]+`, "", []string{"-", "5a", "b"}},
	{`[\w.]+@[\w.]+`, "", []string{"to: me@example.org,", "@"}},
	{`[\x00-\x1f]`, "", []string{"\x05", " "}},
	{`[\x80-\xff]`, "", []string{"\x85", "a"}},
	{`[\x20-\xff]+`, "", []string{"a\x85\xff\x10"}},
	{`[^\x80-\xff]+`, "", []string{"\x85ab"}},
	{`[^\x00-\x7f]`, "", []string{"a", "\x80"}},
	{`[[:alpha:]]+`, "", []string{"1aZ2", "\xe9"}},
	{`[[:^alpha:]]+`, "", []string{"a12", "ab"}},
	{`[[:digit:][:space:]]+`, "", []string{"a1 2b"}},
	{`[[:upper:]]+`, "caseless", []string{"abC"}},
	{`[[:upper:]]+`, "", []string{"abC"}},
	{`[[:punct:]]+`, "", []string{"a.,!$+b"}},
	{`[[:xdigit:]]+`, "", []string{"xyz09aFg"}},
	{`[[:word:]]+`, "", []string{"-a_1-"}},
	{`[[:cntrl:][:graph:]]`, "", []string{" ", "\x7f"}},
	{`[[:blank:][:print:]]+`, "", []string{"\t a\n"}},
	{`[[:alnum:][:lower:][:ascii:]]+`, "", []string{"\x80ab"}},
	{`[\h\v]+`, "", []string{"a \n\t"}},
	{`[^\H]+`, "", []string{"a \t"}},
	{`[^\W_]+`, "", []string{"_ab1_"}},
	{`[\b]`, "", []string{"\b", "b"}},
	{`[\n\]\\]+`, "", []string{"\\\n"}},
	{`[\Qa-z\E]+`, "", []string{"m", "-", "z"}},
	{`[\101-\103]+`, "", []string{"ABC"}},
	{`[a-z&&[aeiou]]`, "", []string{"b]", "&]", "e]"}},
	{`[a-z-[aeiou]]`, "", []string{"b]", "e", "-]", "[]"}},
	{`[.]`, "", []string{".", "a"}},
	{`[$^|]+`, "", []string{"a^$|"}},
	{`[]`, "allow_empty_class", []string{"", "a"}},
	{`a[^]b`, "allow_empty_class", []string{"a\nb", "ab"}},
	{`ab|cd|`, "", []string{"xcd", "x"}},
	{`(a|ab)(c|bcd)(d*)`, "", []string{"abcd"}},
	{`(?:a|b)+c`, "", []string{"ababc", "c"}},
	{`a*`, "", []string{"aaa", "b"}},
	{`a+?`, "", []string{"aaa"}},
	{`a*?b`, "", []string{"aab"}},
	{`a??b`, "", []string{"ab"}},
	{`a{2}`, "", []string{"a", "aaa"}},
	{`a{2,}`, "", []string{"a", "aaaa"}},
	{`a{2,3}`, "", []string{"aaaa"}},
	{`a{2,3}?`, "", []string{"aaaa"}},
	{`a{,3}`, "", []string{"a{,3}", "aaa"}},
	{`a{x}`, "", []string{"a{x}"}},
	{`a{`, "", []string{"a{"}},
	{`a{2}{3}`, "", []string{"aaaaaa", "aaaaa"}},
	{`x{0}y`, "", []string{"xy"}},
	{`a++b`, "", []string{"aab", "aac"}},
	{`a++a`, "", []string{"aaa"}},
	{`a*+a`, "", []string{"aaa"}},
	{`a?+a`, "", []string{"a", "aa"}},
	{`a{1,2}+a`, "", []string{"aa", "aaa"}},
	{`(?>a+)b`, "", []string{"aab"}},
	{`(?>a|ab)c`, "", []string{"abc", "ac"}},
	{`a+`, "ungreedy", []string{"aaa"}},
	{`a+?`, "ungreedy", []string{"aaa"}},
	{`(?U)a+b??`, "", []string{"aab"}},
	{`(a)\1`, "", []string{"aa", "ab"}},
	{`(a)\1`, "caseless", []string{"aA"}},
	{`(?i)(a)\1`, "", []string{"Aa"}},
	{`(a)(?i)\1`, "", []string{"aA", "AA"}},
	{`(.)(.)\2\1`, "", []string{"xabbay"}},
	{`(?<n>a)\k<n>`, "", []string{"aa"}},
	{`(?P<n>a)(?P=n)`, "", []string{"aa"}},
	{`(?'n'a)\k'n'\k{n}\g{n}`, "", []string{"aaaa"}},
	{`(a)\g1\g{1}\g{-1}`, "", []string{"aaaa"}},
	{`(a)(b)\g{-2}\g-1`, "", []string{"abab"}},
	{`(a)(?<n>b)(c)\2\3`, "", []string{"abcbc"}},
	{`(a)?\1b`, "", []string{"b", "aab"}},
	{`(a)?\1b`, "match_unset_backref", []string{"b", "aab"}},
	{`(\2b|(a))+`, "", []string{"aab"}},
	{`(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10`, "", []string{"abcdefghijj"}},
	{`(a)\10`, "", []string{"a\b", "aa0"}},
	{`\81`, "", []string{"81"}},
	{`a(?=b)`, "", []string{"ac ab", "ac"}},
	{`a(?!b)`, "", []string{"ab ac", "ab"}},
	{`(?<=a)b`, "", []string{"bab", "b"}},
	{`(?<!a)b`, "", []string{"ab", "cb"}},
	{`(?<=ab|c)d`, "", []string{"abd", "cd", "bd"}},
	{`(?<=^|,)x`, "", []string{"x", "a,x", "ax"}},
	{`(?=(\w+))\1:`, "", []string{"abcaaa:"}},
	{`^(?=.*\d)(?=.*[a-z]).{4,}$`, "", []string{"abc1", "abcd", "a1"}},
	{`^(?:(?!bad).)*$`, "", []string{"all good", "a bad one"}},
	{`(?<!\d)\d{3}(?!\d)`, "", []string{"12345 678 9", "1234"}},
	{`(a)?(?(1)b|c)`, "", []string{"ab", "c", "b"}},
	{`^(a)?(?(1)b|c)$`, "", []string{"ab", "c", "ac", "b"}},
	{`^(?<n>a)?(?(<n>)b|c)$`, "", []string{"ab", "c", "ac"}},
	{`^(?(?=a)ab|cd)`, "", []string{"ab", "cd", "ad"}},
	{`^(?(?!a)cd|ab)`, "", []string{"ab", "cd"}},
	{`^(a)?(?(1)b)c$`, "", []string{"abc", "c", "ac"}},
	{`(?|(a)|(b))\1`, "", []string{"aa", "bb", "ab"}},
	{`(?|a(.)|b(.)(.))(x)\1\3`, "", []string{"a1x1x", "b12x1x"}},
	{`(?i)abc`, "", []string{"ABC"}},
	{`a(?i)b`, "", []string{"aB", "AB"}},
	{`a(?i:b)c`, "", []string{"aBc", "aBC"}},
	{`(a(?i)b|c)d`, "", []string{"aBd", "Cd", "cD"}},
	{`(?-i)a`, "caseless", []string{"A", "a"}},
	{`(?s).`, "", []string{"\n"}},
	{`(?m)^b`, "", []string{"a\nb"}},
	{`(?x) a b # comment
	c`, "", []string{"abc", "a b"}},
	{`a b # c`, "extended", []string{"ab", "a b"}},
	{`a\ b[ ]c`, "extended", []string{"a b c"}},
	{`a#b`, "", []string{"a#b"}},
	{`(?^)a`, "caseless", []string{"A"}},
	{`(?is:A.)`, "", []string{"a\n"}},
	{`(?n)(a)(?<n>b)\k<n>`, "", []string{"abb"}},
	{`(a)(?<x>b)\1`, "no_auto_capture", []string{"abb", "aba"}},
	{`a(?#comment)b`, "", []string{"ab"}},
	{`a(?C1)b`, "", []string{"ab"}},
	{`foo\Kbar`, "", []string{"foobar", "bar"}},
	{`(?:foo\K)?bar`, "", []string{"foobar", "bar"}},
	{`(?<n>a)|(?<n>b)`, "dupnames", []string{"b"}},
	{`(?:(?<n>a)|(?<n>b))\k<n>`, "dupnames", []string{"aa", "bb", "ab"}},
	{`b`, "firstline", []string{"ab", "a\nb"}},
	{`^b`, "firstline,multiline", []string{"a\nb"}},
	{`\u0041`, "alt_bsux", []string{"A"}},
	{`\u41`, "alt_bsux", []string{"u41"}},
	{`\x4`, "alt_bsux", []string{"x4"}},
	{`.`, "utf", []string{"é", "\n"}},
	{`^.$`, "", []string{"é"}},
	{`^.$`, "utf", []string{"é", "€", "\xff"}},
	{`\w+`, "utf", []string{"aé", "é"}},
	{`\w+`, "utf,ucp", []string{"aé", "é"}},
	{`\bb`, "utf", []string{"éb"}},
	{`\bb`, "utf,ucp", []string{"éb"}},
	{`\d`, "utf,ucp", []string{"٣"}},
	{`\d`, "utf", []string{"٣"}},
	{`\p{Lu}\p{Ll}+`, "utf", []string{"Élan", "élan"}},
	{`\P{L}`, "utf", []string{"é1"}},
	{`[\p{L}\d]+`, "utf", []string{"-é1-"}},
	{`\pL`, "utf", []string{"1é"}},
	{`É`, "utf,caseless", []string{"é"}},
	{`[à-ü]+`, "utf,caseless", []string{"aÉÈ"}},
	{`(*UTF)é.`, "", []string{"é€"}},
	{`(*UCP)(*UTF)\w`, "", []string{"é"}},
	{`é`, "", []string{"é", "É"}},
	{`é`, "caseless", []string{"É"}},
	{"\xe9", "caseless", []string{"\xc9", "\xe9"}},
	{`<title>([^<]*)</title>.*<h1>\1</h1>`, "dotall", []string{"<title>x</title>\n<h1>x</h1>", "<title>x</title>\n<h1>y</h1>"}},
	{`"status"\s*:\s*"(up|ok)"`, "", []string{`{"status": "ok"}`, `{"status": "down"}`}},
	{`^(?:\d{1,3}\.){3}\d{1,3}$`, "", []string{"10.0.0.1", "10.0.0"}},
	{`(\w+)\s+\1`, "", []string{"the the", "the then", "the hen"}},
	{`^(\w+)(?:\s+(?!\1)\w+)*$`, "", []string{"a b c", "a b a"}},
	{`(?:a?){5}a{5}`, "", []string{"aaaaa"}},
	{`(a*)*b`, "", []string{"aab", "b"}},
	{`(a|b)*?c`, "", []string{"abc"}},
	{`((a)|(b))*\2`, "", []string{"aba", "ab"}},
	{`(?:)`, "", []string{""}},
	{`a|b(`, "", []string{"a"}},
	{`a)`, "", []string{"a"}},
	{`[a`, "", []string{"a"}},
	{`*a`, "", []string{"a"}},
	{`a**`, "", []string{"a"}},
	{`a{3,2}`, "", []string{"aaa"}},
	{`[b-a]`, "", []string{"a"}},
	{`\2(a)`, "", []string{"a"}},
	{`\k<n>`, "", []string{"a"}},
	{`[[:foo:]]`, "", []string{"a"}},
	{`\y`, "", []string{"y"}},
	{`(?z)`, "", []string{"a"}},
	{`(?(1)a|b|c)(x)`, "", []string{"a"}},
	{`\x{110000}`, "utf", []string{"a"}},
	{`\x{100}`, "", []string{"a"}},
}

// Each pattern matches what pcre2test says that it matches, or is refused as there.
func TestLikePCRE2(t *testing.T) {
	if _, err := exec.LookPath("pcre2test"); err != nil {
		t.Fatalf("%v: install it (make peers)", err)
	}
	var input strings.Builder
	var want []string
	count := 0
	for _, p := range patterns {
		for _, text := range p.texts {
			fmt.Fprintf(&input, "~%s~%s\n%s\n\n", p.pattern, p.options, escapes(text))
			want = append(want, ours(p.pattern, p.options, text))
		}
		count++
	}
	cmd := exec.Command("pcre2test", "-q")
	cmd.Stdin = strings.NewReader(input.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, " 0: "):
			got = append(got, line[4:])
		case line == " 0:":
			got = append(got, "")
		case strings.HasPrefix(line, "No match"):
			got = append(got, "No match")
		case strings.HasPrefix(line, "Failed: error -"): // a text that is no UTF-8
			got = append(got, "No match")
		case strings.HasPrefix(line, "Failed: "):
			got = append(got, "Failed")
		}
	}
	if len(got) != len(want) {
		t.Fatalf("pcre2test has %d outcomes, want %d:\n%s", len(got), len(want), out)
	}
	i := 0
	for _, p := range patterns {
		for _, text := range p.texts {
			if got[i] != want[i] {
				t.Errorf("/%s/%s on %q: PCRE2 %q, weir %q", p.pattern, p.options, text, got[i], want[i])
			}
			i++
		}
	}
	if count < 200 {
		t.Errorf("%d patterns, want at least 200", count)
	}
}

// ours is what a pattern matches, as pcre2test prints it.
func ours(pattern, options, text string) string {
	var names []string
	if options != "" {
		names = strings.Split(options, ",")
	}
	re, err := Compile(pattern, names...)
	if err != nil {
		return "Failed"
	}
	begin, end, ok, err := re.find([]byte(text), 0)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "No match"
	}
	return printed(text[begin:end], re.flags.utf)
}

// escapes writes a text as pcre2test reads it.
func escapes(text string) string {
	var b strings.Builder
	for i := range len(text) {
		fmt.Fprintf(&b, `\x%02x`, text[i])
	}
	if b.Len() == 0 {
		return `\`
	}
	return b.String()
}

// printed writes a match as pcre2test does.
func printed(text string, utf bool) string {
	var b strings.Builder
	for len(text) > 0 {
		c, n := rune(text[0]), 1
		if utf {
			c, n = utf8.DecodeRuneInString(text)
		}
		switch {
		case c >= 32 && c < 127:
			b.WriteRune(c)
		case utf && c >= 128:
			fmt.Fprintf(&b, `\x{%x}`, c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
		text = text[n:]
	}
	return b.String()
}
