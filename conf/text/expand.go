package text

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// The text language: lines for one config id (@id, @^id), definitions
// ($NAME=value, see define.go) and their use, repetitions (see repeat.go). It works
// on lines before they are cut into words. What a line stands for becomes a source of
// its own, which knows where each part of it comes from, so that a mistake is shown
// where it was written. Its lines are lines as any other: they may define names,
// repeat and include, and what they do holds from there on.

// Reading is what the files of a run share while they are read.
type Reading struct {
	// id is what @id lines are for; empty is the host's name to its first dot.
	id string
	// ids are those that lines are for, or not for.
	ids         map[string]bool
	definitions map[string]definition
	// inUse counts the values of several lines that are being read.
	inUse map[string]int
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
		id: id, ids: map[string]bool{}, definitions: map[string]definition{}, inUse: map[string]int{}, includes: includes{files: f, lexed: map[includeKey][]*Lexed{}},
		parts: parts,
	}
}

// Whole is the same reading from the beginning, with nothing read by itself.
func (run *Reading) Whole() *Reading { return NewReading(run.id, run.includes.files, nil) }

// Open is the text of the first file. Its error has no path.
func (run *Reading) Open(path string) (string, error) {
	content, err := run.includes.files.Read(path, true)
	if err != nil {
		return "", errors.New(reason(err))
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
	if head == "" {
		return false
	}
	if head[0] == '@' {
		return l.forID(line, head)
	}
	at := l.here().further(0, len(line))
	if name := definedName(head); name != "" {
		l.sayCutIn(at)
		l.define(line, head, name)
		return true
	}
	repeated := strings.HasPrefix(head, "~SEQ") || strings.HasPrefix(head, "~LST")
	if !repeated && (l.resolved || !l.uses(line)) {
		return false
	}
	l.sayCutIn(at)
	l.skip(len(line))
	switch {
	case l.src.depth() >= maxNesting:
		l.diags.ErrorAt(at, "definitions are nested too deep", fmt.Sprintf("expected at most %d levels: does one stand for itself?", maxNesting))
	case repeated:
		l.repeat(at, len(line)-len(head))
	default:
		l.expand(at)
	}
	return true
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
	if other != "" {
		l.run.ids[other] = true
	}
	if (other == l.run.configID()) == negated || id == "" {
		l.skip(len(line))
		return true
	}
	l.skip(len(line) - len(head) + 1 + len(id))
	return l.pos == len(l.src.Text) || l.peek(0) != '\n' && l.macro()
}

// IDs are the config ids that lines were for or not for, sorted.
func (run *Reading) IDs() []string { return slices.Sorted(maps.Keys(run.ids)) }

// HostID is the config id where none is given: the host's name up to its first dot.
func HostID() string {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	name, _, _ = strings.Cut(name, ".")
	return name
}

// configID is the id that lines may be for.
func (run *Reading) configID() string {
	if run.id == "" {
		run.id = HostID()
	}
	return run.id
}

// expand reads what the line at a place stands for, in its place: the line with its
// names replaced and, where the last one has a value of several lines, the others.
func (l *lexer) expand(at Place) {
	e := &Source{Name: l.src.Name, order: l.src.order, line: at, expanded: true}
	x := &expander{l: l, source: e, at: at}
	x.line(decomment(at.Text()))
	if e.Text = x.text.String(); !l.run.grow(len(e.Text)+1, at, l.diags) {
		return
	}
	for _, more := range x.rest {
		l.run.inUse[more.name]++
	}
	l.read(e, true)
	for _, more := range x.rest {
		if l.run.stopped || !l.run.grow(len(more.text)+1, at, l.diags) {
			return
		}
		from := at
		from.start, from.end = at.start+int32(more.from), at.start+int32(more.to)
		l.read(&Source{
			Name: l.src.Name, order: l.src.order, Text: more.text, line: at, expanded: true,
			parts: []expansion{{from: from}},
		}, false)
		l.run.inUse[more.name]--
	}
}

// read reads a text in the place of a line. It is resolved where its names have been
// replaced.
func (l *lexer) read(e *Source, resolved bool) {
	inner := &lexer{src: e, line: 1, column: 1, diags: l.diags, run: l.run, most: l.most, tokens: l.tokens, first: len(l.tokens), resolved: resolved}
	inner.all()
	inner.emit(lineToken, "", inner.here())
	inner.lineEnds()
	l.tokens = inner.tokens
}

// expander replaces the names of a line.
type expander struct {
	l      *lexer
	source *Source
	at     Place
	text   strings.Builder
	// rest are the further lines that the line stands for.
	rest []furtherLines
	// behind is what follows the use in the line.
	behind string
	// stopped leaves the names that follow alone: a repetition reads them.
	stopped bool
}

// furtherLines are those behind the first of a name that is used from a byte of its
// line to another.
type furtherLines struct {
	name     string
	text     string
	from, to int
}

// line replaces the names of the line itself.
func (x *expander) line(line string) {
	for i := 0; i < len(line); {
		next := strings.IndexByte(line[i:], '$')
		if next < 0 || x.stopped {
			next = len(line) - i
		}
		x.source.add(&x.text, line[i:i+next], true, x.at, i, i+next)
		if i += next; i == len(line) {
			return
		}
		d, size := x.l.used(line[i:], true)
		if size == 0 {
			d, size = x.withoutBraces(line, i)
		}
		if size == 0 || !x.l.run.grow(0, x.at, x.l.diags) {
			x.source.add(&x.text, "$", true, x.at, i, i+1)
			i++
			continue
		}
		var value strings.Builder
		x.behind = line[i+size:]
		x.value(&value, d, i+size == len(line), i, i+size, 0)
		x.source.add(&x.text, value.String(), false, x.at, i, i+size)
		i += size
	}
}

// value writes the first line of a value, with its names replaced, and keeps the
// others. last is a value that ends its line, from and to are where it is used.
func (x *expander) value(out *strings.Builder, d definition, last bool, from, to, depth int) {
	if depth == maxNesting {
		out.WriteString(d.first)
		return
	}
	x.stopped = x.stopped || strings.HasPrefix(strings.TrimLeft(d.first, " \t"), "~")
	for i := 0; i < len(d.first); {
		next := strings.IndexByte(d.first[i:], '$')
		if next < 0 || x.stopped {
			next = len(d.first) - i
		}
		out.WriteString(d.first[i : i+next])
		if i += next; i == len(d.first) {
			break
		}
		inner, size := x.l.used(d.first[i:], last)
		if size == 0 || !x.l.run.grow(len(inner.first), x.at, x.l.diags) {
			out.WriteByte('$')
			i++
			continue
		}
		behind := x.behind
		if i += size; i < len(d.first) {
			x.behind = d.first[i:]
		} else if d.first[i-1] != '}' {
			x.sayJoined(d.first[i-size:], from, to)
		}
		x.value(out, inner, last && i == len(d.first), from, to, depth+1)
		x.behind = behind
	}
	if d.more != "" {
		x.rest = append(x.rest, furtherLines{d.name, d.more, from, to})
	}
}

// uses tells whether a line uses a name that is defined.
func (l *lexer) uses(line string) bool {
	i := strings.IndexByte(line, '$')
	if i < 0 {
		return false
	}
	for line = decomment(line); i < len(line); {
		if _, size := l.used(line[i:], true); size > 0 {
			return true
		}
		if _, size := l.bare(line, i); size > 0 {
			return true
		}
		next := strings.IndexByte(line[i+1:], '$')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// used is the definition that text, which begins with $, uses, and how many bytes the
// use takes; 0 is none. A value of several lines can only be used at the end of one:
// last tells whether the text goes to it.
func (l *lexer) used(text string, last bool) (d definition, size int) {
	name, size := use(text)
	if size == 0 {
		return d, 0
	}
	d, known := l.run.lookup(l, name)
	if !known || d.more != "" && (!last || size < len(text)) {
		return d, 0
	}
	return d, size
}

// bare is a name with a value of one line that stands, without braces, where it is not
// replaced: before the rest of a word, outside quotes. What is in quotes may be for a shell.
func (l *lexer) bare(line string, i int) (d definition, size int) {
	name := leadingName(line[i+1:])
	if name == "" || strings.Count(line[:i], `"`)%2 == 1 {
		return d, 0
	}
	d, known := l.run.definitions[name]
	if !known || d.more != "" {
		return d, 0
	}
	return d, 1 + len(name)
}

// withoutBraces says that a name is not replaced, and reads it as if it were.
func (x *expander) withoutBraces(line string, i int) (definition, int) {
	d, size := x.l.bare(line, i)
	if size > 0 {
		name := line[i+1 : i+size]
		x.l.diags.ErrorOnce("bare "+name, x.at.further(i, size), fmt.Sprintf("$%s is not replaced before %s", Shorten(name), Quote(line[i+size:i+size+1])), "write ${"+Shorten(name)+"}")
	}
	return d, size
}

// sayJoined warns where a value ends with a name without braces, and the line goes on with
// the same word: keepalived looks for the name when both stand together.
func (x *expander) sayJoined(use string, from, to int) {
	if x.behind == "" || strings.ContainsRune(" \t\r\v\f,)", rune(x.behind[0])) {
		return
	}
	at := x.at.further(from, to-from)
	x.l.diags.WarnAt(at, "name-joined", fmt.Sprintf("keepalived replaces no %s before %s, weir does", Quote(use), Quote(x.behind[:1])), fmt.Sprintf("write ${%s} where it is a part of another value", use[1:]))
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
