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

// loops reads the repetitions that a line begins with, and the offset of what
// they repeat.
func (l *lexer) loops(at Place, line string) (all []loop, body int, ok bool) {
	turns := 1
	for {
		rest := strings.TrimLeft(line[body:], " \t")
		body = len(line) - len(rest)
		if !strings.HasPrefix(rest, "~SEQ") && !strings.HasPrefix(rest, "~LST") {
			return all, body, true
		}
		opening, closing := strings.IndexByte(rest, '('), strings.IndexByte(rest, ')')
		where := at
		where = where.further(body, min(4, len(rest)))
		if opening < 0 || closing < opening {
			l.diags.ErrorAt(where, rest[:4]+" lacks its brackets", "expected "+repeatWords[rest[:4]])
			return nil, 0, false
		}
		where.end = where.start + int32(closing) + 1
		arguments := l.nested(rest[opening+1:closing], nil, 0)
		one, complaint := readLoop(strings.TrimSpace(rest[:opening]), arguments)
		if complaint == "" {
			if turns *= max(1, one.turns()); turns > maxTurns {
				complaint = fmt.Sprintf("repeats more than %d times", maxTurns)
			}
		}
		if complaint != "" {
			l.diags.ErrorAt(where, rest[:4]+" "+complaint, "expected "+repeatWords[rest[:4]])
			return nil, 0, false
		}
		all = append(all, one)
		body += closing + 1
	}
}

// repeatWords are the grammars.
var repeatWords = map[string]string{
	"~SEQ": "~SEQ(NAME, [START, [STEP,]] END) TEXT",
	"~LST": "~LST(NAME, VALUE, ...) TEXT, or ~LST({NAME, ...}, {VALUE, ...}, ...) TEXT",
}

func readLoop(keyword, arguments string) (one loop, complaint string) {
	switch keyword {
	case "~SEQ", "~SEQx":
		one.hex = keyword == "~SEQx"
		return one, one.readCount(splitTrim(arguments))
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
	if len(numbers) < 3 && one.end < one.start {
		one.step = -1
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
		if len(t) != len(one.names) {
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

// turn sets the names to the values of one turn.
func (one *loop) turn(n int, values map[string]string) {
	if one.counts {
		base := 10
		if one.hex {
			base = 16
		}
		values[one.names[0]] = strconv.FormatInt(int64(one.start+n*one.step), base)
		return
	}
	for i, name := range one.names {
		values[name] = one.values[n][i]
	}
}

// repeat calls do for every turn of the loops, the last one fastest, until it
// says no.
func (l *lexer) repeat(loops []loop, values map[string]string, do func(map[string]string) bool) bool {
	if len(loops) == 0 {
		return do(values)
	}
	for n := range loops[0].turns() {
		loops[0].turn(n, values)
		if !l.repeat(loops[1:], values, do) {
			return false
		}
	}
	return true
}
