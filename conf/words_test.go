package conf

import (
	"strings"
	"testing"

	"weir/conf/text"
)

// TestMeantWords tries every word of the table in its block, and wants one error that
// says what to write.
func TestMeantWords(t *testing.T) {
	l := tables()
	blocks := map[string]*blockSpec{"": l.root}
	for _, homes := range l.homes {
		for _, s := range homes {
			blocks[s.name] = s
			for _, e := range s.entries {
				if e.inner != nil && e.inner.line == nil {
					blocks[e.inner.name] = e.inner
				}
			}
		}
	}
	seen := map[[2]string]bool{}
	for _, m := range meantWords {
		s := blocks[m.block]
		if s == nil || m.instead != "" && s.lookup(m.instead) == nil || m.instead == "" && m.why == "" {
			t.Errorf("%+v: there is no such block, or no such word in it", m)
			continue
		}
		for word := range strings.FieldsSeq(m.words) {
			key := [2]string{m.block, word}
			if s.lookup(word) != nil || seen[key] {
				t.Errorf("%s %s: the block has the word itself, or the table has it twice", word, s.where())
			}
			seen[key] = true
			st := &text.Statement{Words: []text.Token{{Text: word}}}
			diags := &text.Collector{}
			b := &text.Block{}
			(&reader{language: l, diags: diags}).unknown(s, b, st, nil)
			list := diags.Finish("", 1).All()
			if len(list) != 1 || list[0].Hint != m.hint() || m.instead != "" && !has(b, m.instead) {
				t.Errorf("%s %s: %+v", word, s.where(), list)
			}
		}
	}
	if len(seen) < 300 {
		t.Errorf("the table has %d words", len(seen))
	}
}

// TestMeantValues tries every value of the table.
func TestMeantValues(t *testing.T) {
	keywords := map[string]string{
		"forward method": "lb_kind", "scheduler": "lb_algo", "protocol": "protocol", "state": "state",
		"authentication type": "auth_type", "HTTP version": "http_protocol",
	}
	for noun, rows := range meantValues {
		for _, row := range rows {
			for word := range strings.FieldsSeq(row[0]) {
				keyword := keywords[noun]
				file := "virtual_server 10.0.0.1 80 {\n" + keyword + " " + word + "\nreal_server 10.0.0.2 80 {\n}\n}\n"
				switch keyword {
				case "state":
					file = bareInstance + "state " + word + "\n}\n"
				case "auth_type":
					file = bareInstance + "authentication {\nauth_type " + word + "\nauth_pass a\n}\n}\n"
				case "http_protocol":
					file = strings.Replace(service("10.0.0.1 80", "protocol TCP"), "80 {\n}", "80 {\nHTTP_GET {\nhttp_protocol "+word+"\nurl {\npath /\n}\n}\n}", 1)
				}
				_, diags := parseMemory(memory{"main": file}, "main")
				if want := `did you mean "` + row[1] + `"?`; diags.Errors() != 1 || diags.All()[0].Hint != want {
					t.Errorf("%s %s: want %s of\n%s", keyword, word, want, rendered(t, diags, false))
				}
			}
		}
	}
}
