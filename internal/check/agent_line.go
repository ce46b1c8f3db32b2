package check

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AgentState is what an agent has said of its server so far: of each of its parts the last
// word counts. The zero AgentState is that of a server whose agent has said nothing.
type AgentState struct {
	// Service is up, down, fail or stopped, and Admin is ready, drain or maint; empty where
	// the agent has said neither.
	Service, Admin string
	// Percent is the part of the configured weight, where Weighs says that there is one.
	Percent int
	Weighs  bool
	// Most is maxconn: how many connections the server takes; 0 is not said.
	Most int
	// Comment is what stood behind '#' when the server went out or was drained.
	Comment string
	// Amiss is why the last question brought no answer, or what nobody understood of it.
	Amiss string
}

const (
	// mostPercent is the largest percentage that HAProxy takes.
	mostPercent = 25600
	// longestComment is how many bytes of a comment are shown.
	longestComment = 120
	// longestWord is how many bytes are shown of a word that is none.
	longestWord = 32
)

// Hear takes in an agent's line, as HAProxy does (configuration manual, agent-check; src/check.c): words
// in any order and in any case, with spaces, tabs or commas between them, up to '#', behind
// which is a comment, or to the end of the line. What it does not mention stays as it is. A
// word that is none is passed over and named in Amiss.
func (s AgentState) Hear(line string) AgentState {
	if end := strings.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	was := s
	s.Amiss = ""
	line, comment, _ := strings.Cut(line, "#")
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	if len(words) == 0 {
		s.Amiss = "an empty line"
	}
	for _, word := range words {
		if !s.take(strings.ToLower(word)) && s.Amiss == "" {
			s.Amiss = fmt.Sprintf("%s is no word of agent-check", printable(strconv.Quote(shorten(word, longestWord))))
		}
	}
	switch {
	case !s.Out() && s.Admin != "drain":
		s.Comment = ""
	case s.Service != was.Service || s.Admin != was.Admin: // a comment alone is no news
		s.Comment = printable(shorten(strings.TrimSpace(comment), longestComment))
	}
	return s
}

// take takes in one word, in small letters, and says whether it is one.
func (s *AgentState) take(word string) bool {
	switch word {
	case "up", "down", "fail", "stopped":
		s.Service = word
		return true
	case "ready", "drain", "maint":
		s.Admin = word
		return true
	}
	if digits, ok := strings.CutSuffix(word, "%"); ok {
		n, ok := whole(digits, mostPercent)
		if ok {
			s.Percent, s.Weighs = n, true
		}
		return ok
	}
	if digits, ok := strings.CutPrefix(word, "maxconn:"); ok {
		n, ok := whole(digits, 1<<31-1)
		if ok {
			s.Most = n
		}
		return ok
	}
	return false
}

// whole is a number of digits alone, up to most.
func whole(digits string, most int) (n int, ok bool) {
	n, err := strconv.Atoi(digits)
	return n, err == nil && n <= most && strings.Trim(digits, "0123456789") == ""
}

// Out says whether the agent has taken its server out.
func (s AgentState) Out() bool {
	return s.Admin == "maint" || s.Service == "down" || s.Service == "fail" || s.Service == "stopped"
}

// Drains says whether the server is to get no new connections but those of clients that
// persistence leads to it.
func (s AgentState) Drains() bool { return s.Admin == "drain" }

// Plain says whether the agent leaves its server as the configuration has it.
func (s AgentState) Plain() bool {
	return !s.Out() && !s.Drains() && (!s.Weighs || s.Percent == 100) && s.Most == 0
}

// String is what the agent says, as people are shown it; empty where it has said nothing.
func (s AgentState) String() string {
	var words []string
	if s.Admin != "ready" {
		words = append(words, s.Admin)
	}
	if s.Service != "up" {
		words = append(words, s.Service)
	}
	if s.Weighs {
		words = append(words, fmt.Sprintf("%d%%", s.Percent))
	}
	if s.Most > 0 {
		words = append(words, fmt.Sprintf("maxconn:%d", s.Most))
	}
	if words = slices.DeleteFunc(words, func(w string) bool { return w == "" }); len(words) == 0 {
		words = append(words, cmp.Or(s.Admin, s.Service)) // nothing but that all is well
	}
	text := strings.Join(words, " ")
	if s.Comment != "" {
		text += " (" + s.Comment + ")"
	}
	return text
}

// shorten cuts a text to so many bytes.
func shorten(text string, most int) string {
	if len(text) > most {
		return text[:most]
	}
	return text
}

// printable has a question mark for each byte that is no printable ASCII character.
func printable(text string) string {
	clean := []byte(text)
	for i, c := range clean {
		if c < ' ' || c > '~' {
			clean[i] = '?'
		}
	}
	return string(clean)
}
