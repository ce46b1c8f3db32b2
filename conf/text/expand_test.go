package text

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// reads is what a text stands for on the machine node01: words parted by blanks,
// lines by a bar.
func reads(t *testing.T, text string) (got string, diags Collector) {
	t.Helper()
	run := NewReading("node01", Disk{}, nil)
	var lines []string
	var words []string
	for _, tok := range run.File("dir/main.conf", &Source{Name: "dir/main.conf", Text: text}, &diags).Tokens {
		switch tok.kind {
		case wordToken:
			words = append(words, tok.Text)
		case openToken:
			words = append(words, "{")
		case closeToken:
			words = append(words, "}")
		default:
			if len(words) > 0 {
				lines = append(lines, strings.Join(words, " "))
			}
			words = nil
		}
	}
	return strings.Join(lines, "|"), diags
}

// TestTextLanguage reads what lines stand for, as keepalived does.
func TestTextLanguage(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"own id", "@node01 a b\nc", "a b|c"},
		{"other id", "@node02 a b\nc", "c"},
		{"not the own id", "@^node01 a\n@^node02 b", "b"},
		{"indented id", "  @node01\ta {\n}", "a {|}"},
		{"a definition for one id", "@node01 $A=1\n@node02 $A=2\nx $A", "x 1"},
		{"use with braces", "$A=1\nx${A}y ${A}", "x1y 1"},
		{"use without braces", "$A=1\nx$A $A", "x1 1"},
		{"a name without braces ends at a blank", "$A=1\n\"$A.1\"", "$A.1"},
		{"late", "$B=${A}x\n$A=1\n${B}\n$A=2\n${B}", "1x|2x"},
		{"within one another", "$A=1\n$B=<${A}>\n$C=[${B}]\n${C}", "[<1>]"},
		{"a name that nothing defines", "a$b ${c}", "a$b ${c}"},
		{"indented definition", "  $A=x y\nz $A", "z x y"},
		{"a blank before = is no definition", "$A =1", "$A =1"},
		{"several lines", "$A=\\\nx {\\\n  y ${B}\\\n}\n$B=3\n$A", "x {|y 3|}"},
		{"quotes in a value", "$A=\"x y\"\n${A}z", "x yz"},
		{"a comment in a value", "$A=x # y\n${A}", "x"},
		{"no name in a comment", "$A=1\nx # ${A}", "x"},
		{"own words", "${_INSTANCE} \"a${_HASH}b ${_BANG}\" ${_RANDOM 4 4}", "node01 a#b ! 4"},
		{"own words begin comments outside quotes", "a${_HASH}b c\nd${_BANG}e f", "a|d"},
		{"own words in a value", "$A=a${_HASH}b\nx${A}y\n\"x${A}y\"", "xa|xa#by"},
		{"count to", "~SEQ(i, 3) a$i", "a1|a2|a3"},
		{"count from to", "~SEQ(i,8,10) a${i}b", "a8b|a9b|a10b"},
		{"count by", "~SEQ(i, 1, 2, 6) $i", "1|3|5"},
		{"count down", "~SEQ(i,3,-1,1) $i", "3|2|1"},
		{"count in hexadecimal", "~SEQx(i,9,11) a$i", "a9|aa|ab"},
		{"count to a definition", "$N=2\n~SEQ(i,$N) a$i", "a1|a2"},
		{"list", "~LST(v, x, y) a$v", "ax|ay"},
		{"list of tuples", "~LST({v,w}, {x,1}, {y,2}) ${v}${w}", "x1|y2"},
		{"names with dollars", "~LST({$v,$w},{x,1},{y,2}) ${v}${w}", "x1|y2"},
		{"loop in loop", "~SEQ(i,2) ~LST(v,x,y) ${i}${v}", "1x|1y|2x|2y"},
		{"a definition with the loop's variable", "$B=a {\\\nb ${i}\\\n}\n~SEQ(i,2) $B", "a {|b 1|}|a {|b 2|}"},
		{"loop for one id", "@node01 ~SEQ(i,2) a$i\n@node02 ~SEQ(i,2) b$i", "a1|a2"},
		{"a name in an include's line", "$A=1*\ninclude $A", "include 1*"},
		{"a definition in a definition", "$V=\\\na {\\\n  $ID=51 \\\n  b $ID\\\n}\n$ID=1\n$V\nc $ID", "a {|b 51|}|c 51"},
		{"a definition as a definition's first line", "$V=$ID=5 \\\nk_${ID} \\\nm_${ID}\n$V", "k_5|m_5"},
		{"several lines in several lines", "$A=a1 \\\na2\n$B=b1 \\\n$A\n$C=c1 \\\n$B \\\nc3\n$C", "c1|b1|a1|a2|c3"},
		{"several lines behind words", "$A=x1 \\\nx2\nfoo_$A\nbar ${A}\nend", "foo_x1|x2|bar x1|x2|end"},
		{"several lines only at a line's end", "$A=x1 \\\nx2\n$A $A\nz_${A}_q", "$A x1|x2|z_${A}_q"},
		{"a repetition in a definition", "$R=r_${N} \\\n+ ${M}\n$V=\\\nv {\\\n  ~SEQ(N,1,2) $R \\\n}\n$M=0\n$V", "v {|r_1|+ 0|r_2|+ 0|}"},
		{"a repetition as a definition's first line", "$V=~SEQ(i,1,2) k_${i} \\\nm_${i}\n$V\nafter_${i}", "k_1|k_2|m_2|after_2"},
		{"a repetition as a value", "$V=~SEQ(i,1,2) k_${i}\n$V", "k_1|k_2"},
		{"a repetition's name stays", "$i=old\n~SEQ(i,3,4) k_${i}\nq_${i}", "k_3|k_4|q_4"},
		{"a repetition that defines", "~SEQ(i,1,2) $X=${i}\nk_${X}\n~SEQ(i,5,6) $Y=$i\nk_${Y}", "k_2|k_6"},
		{"bounds from the outer repetition", "~SEQ(i,1,2) ~SEQ(j,$i,2) n_${i}_${j}", "n_1_1|n_1_2|n_2_2"},
		{"count to a negative number", "~SEQ(i,-3) n_${i}", "n_-1|n_-2|n_-3"},
		{"count to zero", "~SEQ(i,0) n_${i}", "n_1|n_0"},
		{"values that are missing", "~LST({a,b},{1,2},{3}) k_${a}_${b}", "k_1_2|k_3_"},
		{"a list's value with a comma", "$L=1,2\n~LST(a,$L) k_${a}", "k_1,2"},
		{"a repetition for one id", "~SEQ(i,1,2) @node01 k_${i}\n~SEQ(i,1,2) @node02 x", "k_1|k_2"},
		{"ids in a definition", "$B=@node01 b1 \\\n@node01 b2 \\\n@other b3 \\\n b4\n$B", "b1|b2|b4"},
		{"a name before a comma or a bracket", "$A=x\na_$A,b\nb_$A)c", "a_x,b|b_x)c"},
		{"a comment behind a backslash", "$B=b1 \\ # c\nb2\n$B\nend", "b1|b2|end"},
		{"a comment does not end a definition", "$B=b1 \\\n   \n# c\nb2\n$B\nend", "b1|b2|end"},
		{"an empty line ends a definition", "$B=b1 \\\n\nb2\n$B", "b2|b1"},
		{"a comment is no part of a value", "$A=foo # c\nx_${A}_y", "x_foo_y"},
		{"a backslash before # in a value does not help", "$A=a\\#b\nx_${A}_y", "x_a_y"},
		{"nor does it in quotes where the value is used", "$A=a\\#b\n\"x_${A}_y\"", "x_a_y"},
		{"blanks around a value", "$B=   b1  \\\n    b2  \nx_${B}", "x_b1|b2"},
		{"several lines in a comment", "$V=v1 \\\nv2\nfoo # $V\nend", "foo|end"},
		{"definitions with carriage returns", "$V=v1 \\\r\nv2\r\n$V\r\nend_${V}\r", "v1|v2|end_v1|v2"},
		{"an empty value", "$A=\nk_${A}_z", "k__z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, diags := reads(t, tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" || diags.Counts[Error] > 0 {
				t.Errorf("%q (-want +got):\n%s\ndiagnostics: %v", tt.in, diff, diags.list)
			}
		})
	}
	if got, _ := reads(t, "${_PWD}"); !strings.HasSuffix(got, "/text/dir") {
		t.Errorf("_PWD is %q, want the folder of the file", got)
	}
}

// TestTextMistakes wants one error each.
func TestTextMistakes(t *testing.T) {
	tests := []struct{ in, want string }{
		{"$_A=1", "begin with _"},
		{"~SEQ i 3", "lacks its brackets"},
		{"~SEQ(i) x", "takes a name and 1 to 3 numbers"},
		{"~SEQ(i,a) x", "counts by whole numbers"},
		{"~SEQ(i,1,0,3) x", "never comes to its end"},
		{"~SEQ(i,1,-1,3) x", "never comes to its end"},
		{"~SEQ(1,3) x", "has no name"},
		{"~SEQ(i,2000000) x", "repeats more than"},
		{"~SEQ(i,2000) ~SEQ(j,2000) x", "stand for too much text"},
		{"~LST({a,b},{1,2,3}) x", "has 3 values for 2 names"},
		{"~SEQx(i,-1,3) x", "from 0 on in hexadecimal"},
		{"~LST({a,b) x", "without its partner"},
		{"$A=${A}${A}\n${A}", "stand for too much text"},
		{"$A=" + strings.Repeat("x", 1000) + "\n~SEQ(i,100000) $A", "stand for too much text"},
		{"$A=1\n$A.1\nx$A/$A", `$A is not replaced before "."`},
		{"~SEQ(i,3) x$i/24", `$i is not replaced before "/"`},
		{"$A=~SEQ(i,2) $B\n$B=$A\n$A", ""},
	}
	for _, tt := range tests {
		_, diags := reads(t, tt.in)
		if tt.want == "" {
			continue // it only has to come to an end
		}
		if diags.Counts[Error] != 1 || !strings.Contains(diags.list[0].Message, tt.want) {
			t.Errorf("%q: got %v, want one error with %q", tt.in, diags.list, tt.want)
		}
	}
}
