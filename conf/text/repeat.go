package text

import (
	"fmt"
	"strconv"
	"strings"
)

// loop is a ~SEQ or ~LST before a line: names, and the values that they take
// together, in turn. A count is not written out.
type loop struct {
	names  []string
	values [][]string
	// start, step and end are those of ~SEQ, whose values are numbers.
	counts           bool
	start, step, end int
	hex              bool
}

// maxTurns bounds how often one line is repeated.
const maxTurns = 1 << 20

// repeat reads a line that begins, some bytes behind at's start, with ~SEQ or ~LST:
// what stands behind it as often as the names have values. They keep the last one.
func (l *lexer) repeat(at Place, from int) {
	line := decomment(at.Text())
	if from >= len(line) {
		return
	}
	rest := line[from:]
	opening, closing := strings.IndexByte(rest, '('), strings.IndexByte(rest, ')')
	where := at.further(from, min(4, len(rest)))
	if opening < 0 || closing < opening {
		l.diags.ErrorAt(where, rest[:4]+" lacks its brackets", "expected "+repeatWords[rest[:4]])
		l.failed(at)
		return
	}
	where.end = where.start + int32(closing) + 1
	one, complaint := l.readLoop(strings.TrimSpace(rest[:opening]), rest[opening+1:closing])
	if complaint == "" && one.turns() > maxTurns {
		complaint = fmt.Sprintf("repeats more than %d times", maxTurns)
	}
	if complaint != "" {
		l.diags.ErrorAt(where, rest[:4]+" "+complaint, "expected "+repeatWords[rest[:4]])
		l.failed(at)
		return
	}
	body := from + closing + 1
	body += len(line) - body - len(strings.TrimLeft(line[body:], " \t"))
	for n := range one.turns() {
		one.turn(n, l.run.definitions)
		if !l.run.grow(len(line)-body, at, l.diags) || l.diags.Full() {
			return
		}
		e := &Source{Name: l.src.Name, order: l.src.order, line: at, expanded: true, Text: line[body:]}
		e.parts = []expansion{{literal: true, from: bodyOf(at, body, len(line))}}
		l.read(e, false)
	}
}

// bodyOf is the place of a line's bytes, with the line's column, see origin.
func bodyOf(line Place, from, to int) Place {
	line.start, line.end = line.start+int32(from), line.start+int32(to)
	return line
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

// repeatWords are the grammars.
var repeatWords = map[string]string{
	"~SEQ": "~SEQ(NAME, [START, [STEP,]] END) TEXT",
	"~LST": "~LST(NAME, VALUE, ...) TEXT, or ~LST({NAME, ...}, {VALUE, ...}, ...) TEXT",
}

func (l *lexer) readLoop(keyword, arguments string) (one loop, complaint string) {
	switch keyword {
	case "~SEQ", "~SEQx":
		one.hex = keyword == "~SEQx"
		return one, one.readCount(splitTrim(l.replaced(arguments)))
	case "~LST":
		return one, one.readList(arguments)
	}
	return one, "is not written so"
}

func splitTrim(text string) []string {
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// readCount reads NAME, [START, [STEP,]] END.
func (one *loop) readCount(arguments []string) (complaint string) {
	if len(arguments) < 2 || len(arguments) > 4 {
		return fmt.Sprintf("takes a name and 1 to 3 numbers, not %d arguments", len(arguments))
	}
	var numbers []int
	for _, a := range arguments[1:] {
		n, err := strconv.ParseInt(a, 0, 32)
		if err != nil {
			return fmt.Sprintf("counts by whole numbers, not by %s", Quote(a))
		}
		numbers = append(numbers, int(n))
	}
	one.counts, one.start, one.step = true, 1, 1
	switch one.end = numbers[len(numbers)-1]; len(numbers) {
	case 3:
		one.start, one.step = numbers[0], numbers[1]
	case 2:
		one.start = numbers[0]
	}
	if len(numbers) == 1 && one.end < 0 {
		one.start = -1
	}
	if len(numbers) < 3 && one.end < one.start {
		one.step = -1
	}
	if one.hex && (one.start < 0 || one.end < 0) {
		return "counts only from 0 on in hexadecimal"
	}
	if one.step == 0 || (one.end-one.start)*one.step < 0 {
		return "never comes to its end"
	}
	return one.name(arguments[0])
}

func (one *loop) name(text string) (complaint string) {
	name := strings.TrimPrefix(text, "$")
	if name == "" || leadingName(name) != name {
		return fmt.Sprintf("has no name in %s", Quote(text))
	}
	one.names = append(one.names, name)
	return ""
}

// readList reads NAME, VALUE... or {NAME...}, {VALUE...}...
func (one *loop) readList(arguments string) (complaint string) {
	tuples := [][]string{}
	if !strings.HasPrefix(strings.TrimSpace(arguments), "{") {
		for _, part := range splitTrim(arguments) {
			tuples = append(tuples, []string{part})
		}
	} else {
		for rest := strings.TrimSpace(arguments); rest != ""; {
			end := strings.IndexByte(rest, '}')
			if !strings.HasPrefix(rest, "{") || end < 0 {
				return "has a brace without its partner"
			}
			tuples = append(tuples, splitTrim(rest[1:end]))
			rest = strings.TrimLeft(rest[end+1:], " \t,")
		}
	}
	for _, name := range tuples[0] {
		if complaint := one.name(name); complaint != "" {
			return complaint
		}
	}
	for _, t := range tuples[1:] {
		if len(t) > len(one.names) {
			return fmt.Sprintf("has %s for %s", Plural(len(t), "value"), Plural(len(one.names), "name"))
		}
	}
	one.values = tuples[1:]
	return ""
}

// turns is how often the loop repeats.
func (one *loop) turns() int {
	if one.counts {
		return (one.end-one.start)/one.step + 1
	}
	return len(one.values)
}

// turn sets the names to the values of one turn; one that is missing is empty.
func (one *loop) turn(n int, definitions map[string]definition) {
	if one.counts {
		base := 10
		if one.hex {
			base = 16
		}
		definitions[one.names[0]] = definition{first: strconv.FormatInt(int64(one.start+n*one.step), base)}
		return
	}
	for i, name := range one.names {
		d := definition{}
		if i < len(one.values[n]) {
			d.first = one.values[n][i]
		}
		definitions[name] = d
	}
}

// replaced is a text with the names in it replaced that have a value of one line.
func (l *lexer) replaced(text string) string {
	if !strings.Contains(text, "$") {
		return text
	}
	x := &expander{l: l, source: &Source{}, at: l.here()}
	x.line(text)
	return x.text.String()
}
