package text

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The text language: lines for one config id (@id, @^id), definitions
// ($NAME=value) and their use, repetitions (see repeat.go). It works on lines
// before they are cut into words. What a line stands for becomes a source of its
// own, which knows where each part of it comes from, so that a mistake is shown
// where it was written.

// Reading is what the files of a run share while they are read.
type Reading struct {
	// id is what @id lines are for; empty is the host's name to its first dot.
	id          string
	definitions map[string]string
	// expanded counts the bytes that lines stand for.
	expanded int
	stopped  bool
	includes includes
	// parts are what is read by itself; nil has everything read as one.
	parts *Alone
	// Tokens counts those of all files.
	Tokens int
}

// NewReading is the reading of a configuration. Lines for a config id are those for id,
// which is the host's name up to its first dot where it is empty; parts are what is
// read by itself, nil where nothing is.
func NewReading(id string, f Files, parts *Alone) *Reading {
	if parts != nil {
		parts.numbers = map[includeKey]int{}
	}
	return &Reading{
		id: id, definitions: map[string]string{}, includes: includes{files: f, lexed: map[includeKey][]*Lexed{}},
		parts: parts,
	}
}

// Whole is the same reading from the beginning, with nothing read by itself.
func (run *Reading) Whole() *Reading { return NewReading(run.id, run.includes.files, nil) }

// Open is the text of the first file. Its error has no path.
func (run *Reading) Open(path string) ([]byte, error) {
	content, err := run.includes.files.Read(path, true)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	return content, nil
}

// Files counts the files that were read.
func (run *Reading) Files() int { return run.includes.read }

const (
	// maxExpanded bounds what the lines of a configuration stand for, in bytes.
	maxExpanded = 32 << 20
	// overhead is what an expansion costs beside its text, in bytes.
	overhead = 256
	// maxName is the longest use of a name, in bytes.
	maxName = 128
	// maxNesting bounds definitions within definitions.
	maxNesting = 32
)

// macro deals with what the text language has to say about the line at the
// lexer's position, and tells whether it has dealt with the whole line.
func (l *lexer) macro() bool {
	end := strings.IndexByte(l.src.Text[l.pos:], '\n')
	if end < 0 {
		end = len(l.src.Text) - l.pos
	}
	line := l.src.Text[l.pos : l.pos+end]
	head := strings.TrimLeft(line, " \t\r\v\f")
	if head == "" || isInclude(head) {
		return false
	}
	if head[0] == '@' {
		return l.forID(line, head)
	}
	if name := definition(head); name != "" {
		l.define(line, head, name)
		return true
	}
	repeated := strings.HasPrefix(head, "~SEQ") || strings.HasPrefix(head, "~LST")
	if !repeated && (l.resolved || !l.uses(line)) {
		return false
	}
	l.expand(line, repeated)
	return true
}

// uses tells whether a line uses a name that is defined.
func (l *lexer) uses(line string) bool {
	used := false
	for i := strings.IndexByte(line, '$'); i >= 0 && !used; {
		name, _ := use(line[i:])
		_, used = l.run.lookup(l, name, nil)
		next := strings.IndexByte(line[i+1:], '$')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return used
}

// skip takes the lexer n bytes on.
func (l *lexer) skip(n int) {
	for end := l.pos + n; l.pos < end; {
		l.next()
	}
}

// forID takes or leaves a line that is only for one config id. A line that is
// left ends where it ends; of one that is taken the rest is read.
func (l *lexer) forID(line, head string) bool {
	id, _, _ := strings.Cut(strings.ReplaceAll(head[1:], "\t", " "), " ")
	id = strings.TrimRight(id, "\r")
	other, negated := strings.CutPrefix(id, "^")
	if !negated {
		other = id
	}
	if (other == l.run.configID()) == negated || id == "" {
		l.skip(len(line))
		return true
	}
	l.skip(len(line) - len(head) + 1 + len(id))
	return l.pos < len(l.src.Text) && l.peek(0) != '\n' && l.macro()
}

// configID is the id that lines may be for.
func (run *Reading) configID() string {
	if run.id == "" {
		name, err := os.Hostname()
		if err != nil {
			name = "localhost"
		}
		run.id, _, _ = strings.Cut(name, ".")
	}
	return run.id
}

// definition is the NAME of $NAME=..., and "" of any other word.
func definition(word string) string {
	if !strings.HasPrefix(word, "$") {
		return ""
	}
	name := leadingName(word[1:])
	if name == "" || !strings.HasPrefix(word[1+len(name):], "=") {
		return ""
	}
	return name
}

// define takes a line $NAME=value. A backslash at its end goes on with the next
// line, and each end is one in the value, too.
func (l *lexer) define(line, head, name string) {
	at := l.here()
	at = at.further(len(line)-len(head), 1+len(name))
	l.skip(len(line))
	value := strings.TrimRight(head[len(name)+2:], "\r")
	for strings.HasSuffix(value, "\\") && l.pos < len(l.src.Text) {
		value = strings.TrimSuffix(value, "\\")
		l.next()
		end := strings.IndexByte(l.src.Text[l.pos:], '\n')
		if end < 0 {
			end = len(l.src.Text) - l.pos
		}
		more := l.src.Text[l.pos : l.pos+end]
		l.skip(end)
		if value != "" {
			value += "\n"
		}
		value += strings.TrimRight(more, "\r")
	}
	if strings.HasPrefix(name, "_") {
		l.diags.ErrorAt(at, "names that begin with _ are keepalived's own", "expected another name than "+Shorten(name))
		return
	}
	if l.run.grow(len(value), at, l.diags) {
		l.run.definitions[name] = strings.TrimSuffix(value, "\\")
	}
}

// grow counts what lines stand for, and tells whether that is still within
// bounds. That it is not is said once.
func (run *Reading) grow(n int, at Place, diags *Collector) bool {
	if run.expanded += n + overhead; run.expanded <= maxExpanded {
		return true
	}
	if !run.stopped {
		diags.Stop(at, "the definitions and repetitions stand for too much text", fmt.Sprintf("expected at most %d MiB in all", maxExpanded>>20))
	}
	run.stopped = true
	return false
}

// use is the name that text, which begins with $, uses, and how many bytes the
// use takes: ${NAME}, or $NAME before a blank or the end.
func use(text string) (name string, size int) {
	if strings.HasPrefix(text, "${") {
		end := 2 + strings.IndexAny(text[2:min(len(text), maxName)], "}{$\n")
		if end < 2 || text[end] != '}' {
			return "", 0
		}
		return text[2:end], end + 1
	}
	name = leadingName(text[1:])
	after := text[1+len(name):]
	if name == "" || after != "" && !strings.ContainsRune(" \t\r\v\f\n", rune(after[0])) {
		return "", 0
	}
	return name, 1 + len(name)
}

// lookup is what a name stands for: the variable of a repetition, one that is
// defined, or one of keepalived's own.
func (run *Reading) lookup(l *lexer, name string, local map[string]string) (string, bool) {
	if v, ok := local[name]; ok {
		return v, true
	}
	if v, ok := run.definitions[name]; ok {
		return v, true
	}
	words := strings.Fields(name)
	if len(words) == 0 {
		return "", false
	}
	switch {
	case name == "_PWD":
		dir, err := filepath.Abs(filepath.Dir(l.src.file().Name))
		return dir, err == nil
	case name == "_INSTANCE":
		return run.configID(), true
	case name == "_HASH":
		return `\#`, true
	case name == "_BANG":
		return `\!`, true
	case words[0] == "_RANDOM" && len(words) <= 3:
		return random(words[1:])
	case words[0] == "_ENV" && len(words) == 2:
		return os.LookupEnv(words[1])
	}
	return "", false
}

// random is ${_RANDOM [MIN [MAX]]}: from 0 to 32767 where nothing is said.
func random(bounds []string) (string, bool) {
	least, most := 0, 32767
	for i, to := range []*int{&least, &most} {
		if i < len(bounds) {
			n, err := strconv.Atoi(bounds[i])
			if err != nil || n < 0 || n > 1<<30 {
				return "", false
			}
			*to = n
		}
	}
	if most < least {
		return "", false
	}
	return strconv.Itoa(least + rand.IntN(most-least+1)), true
}

// expand reads what a line stands for, once or repeated, in its place.
func (l *lexer) expand(line string, repeated bool) {
	at := l.here()
	at = at.further(0, len(line))
	l.skip(len(line))
	if l.src.depth() >= maxNesting {
		l.diags.ErrorAt(at, "definitions are nested too deep", fmt.Sprintf("expected at most %d levels: does one stand for itself?", maxNesting))
		return
	}
	if !repeated {
		l.substitute(at, 0, nil)
		return
	}
	loops, body, ok := l.loops(at, line)
	if !ok {
		l.failed(at)
		return
	}
	l.repeat(loops, map[string]string{}, func(values map[string]string) bool {
		l.substitute(at, body, values)
		return !l.run.stopped
	})
}

// failed leaves a word that stands for a line which could not be read, and the
// block that it opens.
func (l *lexer) failed(at Place) {
	l.emit(wordToken, at.Text(), at)
	l.tokens[len(l.tokens)-1].broken = true
	if strings.HasSuffix(strings.TrimSpace(at.Text()), "{") {
		l.emit(openToken, "", at)
	}
}

// substitute reads the line at a place, from an offset on, with its names
// replaced.
func (l *lexer) substitute(at Place, from int, local map[string]string) {
	line := at.Text()
	e := &Source{Name: l.src.Name, order: l.src.order, line: at, expanded: true}
	var text strings.Builder
	changed := local != nil
	for i := from; i < len(line); {
		next := strings.IndexByte(line[i:], '$')
		if next < 0 {
			next = len(line) - i
		}
		e.add(&text, line[i:i+next], true, at, i, i+next)
		if i += next; i == len(line) {
			break
		}
		name, size := use(line[i:])
		value, known := l.run.lookup(l, name, local)
		if !known {
			size = max(1, len("$"))
			e.add(&text, line[i:i+size], true, at, i, i+size)
			i += size
			continue
		}
		e.add(&text, l.nested(value, local, 0), false, at, i, i+size)
		if changed = true; !l.run.grow(0, at, l.diags) {
			return
		}
		i += size
	}
	e.Text = text.String()
	if !changed || !l.run.grow(len(e.Text)+1, at, l.diags) {
		return
	}
	inner := &lexer{src: e, line: 1, column: 1, diags: l.diags, run: l.run, tokens: l.tokens, first: len(l.tokens), resolved: true}
	inner.all()
	inner.emit(lineToken, "", inner.here())
	inner.lineEnds()
	l.tokens = inner.tokens
}

// nested replaces the names in a value; they are looked up when it is used.
func (l *lexer) nested(value string, local map[string]string, depth int) string {
	if !strings.Contains(value, "$") || depth == maxNesting || l.run.stopped {
		return value
	}
	var text strings.Builder
	for i := 0; i < len(value); {
		next := strings.IndexByte(value[i:], '$')
		if next < 0 {
			text.WriteString(value[i:])
			break
		}
		text.WriteString(value[i : i+next])
		i += next
		name, size := use(value[i:])
		inner, known := l.run.lookup(l, name, local)
		if !known {
			text.WriteByte('$')
			i++
			continue
		}
		text.WriteString(l.nested(inner, local, depth+1))
		i += size
		if !l.run.grow(len(inner), l.here(), l.diags) {
			break
		}
	}
	return text.String()
}

// leadingName is the name that text begins with: letters, digits and
// underscores, not beginning with a digit.
func leadingName(text string) string {
	n := 0
	for n < len(text) && (isLetter(text[n]) || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return text[:n]
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
