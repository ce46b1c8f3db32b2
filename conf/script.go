package conf

import (
	"fmt"
	"strings"

	"weir/conf/text"
)

// Script is a program that weir runs, with its arguments.
type Script struct {
	// Command is the program's path and its arguments as one text.
	Command string `json:"command"`
	// User and Group are whose it runs as; empty is script_user's. Supplementary
	// is a colon before the group: the user's other groups, too.
	User          string `json:"user"`
	Group         string `json:"group"`
	Supplementary bool   `json:"supplementary"`
}

// As is the program run as somebody else, where that one is named.
func (s Script) As(who Script) Script {
	if who.User != "" {
		s.User, s.Group, s.Supplementary = who.User, who.Group, who.Supplementary
	}
	return s
}

// scriptWords is the grammar behind a script's keyword.
const scriptWords = `"PATH [ARGUMENT...]" [USER [[:]GROUP]]`

// script is a keyword that names a program.
func script[T any](name string, at func(*T) *Script, help string, options ...option) *entry {
	e := custom(name, scriptWords, help, func(r *reader, st *text.Statement, into *T) (ok bool) {
		*at(into), ok = readScript(r, st, 1)
		return ok
	}, append([]option{example(`"/bin/true a"`, `"/bin/true b"`)}, options...)...)
	e.first = true
	return e
}

// readScript reads a program and whose it is from the words of a statement.
func readScript(r *reader, st *text.Statement, from int) (s Script, ok bool) {
	if len(st.Words) <= from {
		r.errorAt(st.Place(), st.Keyword()+" lacks its program", "expected "+scriptWords)
		return s, false
	}
	if s.Command, ok = word(r, st, from, nonEmpty("a program")); !ok || openQuote(r, st, from) {
		return s, false
	}
	return s, s.user(r, st, from+1)
}

// user reads [USER [[:]GROUP]], and tells whether nothing is behind it.
func (s *Script) user(r *reader, st *text.Statement, from int) bool {
	words := st.Words[min(from, len(st.Words)):]
	if len(words) > 0 {
		s.User = words[0].Text
	}
	if len(words) > 1 {
		s.Group, s.Supplementary = strings.CutPrefix(words[1].Text, ":")
	}
	if len(words) > 2 {
		r.extra(st, from+2)
		return false
	}
	return true
}

// openQuote tells whether a program's arguments hold a quote that is not closed, and
// says so. Inside the quotes of the file each argument may have its own.
func openQuote(r *reader, st *text.Statement, n int) bool {
	raw := st.Words[n].Place.Text()
	if last := len(raw) - 1; last > 0 && raw[0] == raw[last] && (raw[0] == '"' || raw[0] == '\'') {
		raw = raw[1:last]
	}
	quote := byte(0)
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\':
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	if quote != 0 {
		r.errorAt(st.Words[n].Place, fmt.Sprintf("%s: the quote %c among its arguments is not closed", st.Keyword(), quote), fmt.Sprintf("expected another %c, or \\%c", quote, quote))
	}
	return quote != 0
}
