package text

import (
	"bytes"
	"slices"
	"strings"
)

// Format gives a configuration its canonical layout: four blanks for each block
// around a line, one between words, an opening brace on its keyword's line, a
// closing one alone, at most one empty line. Comments, quotes and the words
// themselves stay as they are. A text whose braces or quotes do not fit is left
// alone, and the diagnostics say why.
func Format(name string, text []byte) ([]byte, Diagnostics) {
	once, diags := layOut(name, text)
	if diags.HasErrors() {
		return text, diags
	}
	// What comes out is what comes out of it again: a text of which that is not sure is
	// left alone, since its meaning might change, too.
	if twice, again := layOut(name, once); again.HasErrors() || !bytes.Equal(once, twice) {
		why := &Collector{}
		why.Add(Diagnostic{Severity: Error, File: name, Message: "this text cannot be laid out", Hint: "the text is left as it is: do its quotes and backslashes mean what they seem to?"})
		return text, why.Finish(name, 1)
	}
	return once, diags
}

func layOut(name string, text []byte) ([]byte, Diagnostics) {
	f := &formatter{name: name}
	rest := strings.TrimPrefix(string(text), byteOrderMark)
	for number := 1; rest != ""; {
		line, after := logicalLine(rest)
		if after == "" && !isCommented(line) && strings.HasSuffix(strings.TrimRight(line, " \t\r\v\f"), "\\") && !endsInComment(line) {
			f.fail((&Source{Name: name, Text: line}).whole(number), "the last line goes on after its backslash")
		}
		f.line(line, number)
		number += strings.Count(line, "\n") + 1
		rest = after
	}
	if f.depth > 0 && !f.forID {
		f.fail(f.opened[f.depth-1], "this block is not closed")
	}
	diags := f.diags.Finish(name, 1)
	if diags.HasErrors() {
		return text, diags
	}
	return f.text(), diags
}

// logicalLine is the text's first line, with those that a backslash continues.
func logicalLine(text string) (line, rest string) {
	end := 0
	for {
		n := strings.IndexByte(text[end:], '\n')
		if n < 0 {
			return text, ""
		}
		end += n
		if !strings.HasSuffix(strings.TrimSuffix(text[:end], "\r"), "\\") || isCommented(text[:end]) || endsInComment(text[:end]) {
			return text[:end], text[end+1:]
		}
		end++
	}
}

// isCommented tells whether a line is nothing but a comment.
func isCommented(line string) bool {
	line = strings.TrimLeft(line, " \t")
	return strings.HasPrefix(line, "#") || strings.HasPrefix(line, "!")
}

// endsInComment tells whether a comment is the last thing of a line of words: a backslash
// in it continues nothing.
func endsInComment(line string) bool {
	if head := strings.TrimLeft(line, " \t\r"); definedName(head) != "" || strings.HasPrefix(head, "~") {
		return false
	}
	l := &lexer{src: &Source{Text: line}, line: 1, column: 1, diags: &Collector{}, most: leastTokens, comments: true}
	l.all()
	n := len(l.tokens)
	return n > 0 && l.tokens[n-1].kind == commentToken
}

// formatter lays lines out.
type formatter struct {
	name  string
	diags Collector
	out   []laidOut
	depth int
	// opened are the lines of the blocks that are open.
	opened []Place
	// forID tells that braces are only for some config ids: whether they fit depends on it.
	forID bool
}

// laidOut is a line of the result.
type laidOut struct {
	depth   int
	text    string
	comment string
	// verbatim is a line that takes no brace of another line: one of the text language,
	// or with words that mean what they do only on their line.
	verbatim bool
	// opens is how many blocks a line for one config id opens more than it closes.
	opens int
}

// line lays one line out.
func (f *formatter) line(line string, number int) {
	head := strings.TrimLeft(line, " \t\r\v\f")
	switch {
	case strings.TrimSpace(line) == "":
		f.blank()
	case definedName(head) != "", strings.HasPrefix(head, "~"):
		f.keep(strings.TrimRight(head, " \t\r\v\f"), number)
	case head[0] == '@':
		id, rest := conditions(head)
		switch {
		case definedName(rest) != "", strings.HasPrefix(rest, "~"):
			f.keep(id+" "+strings.TrimRight(rest, " \t\r\v\f"), number)
		case strings.Contains(line, "\n"):
			f.fail((&Source{Name: f.name, Text: line}).whole(number), "a line for a config id goes on behind a backslash")
		default:
			f.words(rest, id, number)
		}
	case continuesTextLine(line):
		f.fail((&Source{Name: f.name, Text: line}).whole(number), "a line with a $NAME, a repetition or a config id goes on behind a backslash")
	default:
		f.words(line, "", number)
	}
}

// keep lays out a line of the text language, whose words mean what they are.
func (f *formatter) keep(line string, number int) {
	if strings.HasSuffix(line, "\\") {
		f.fail((&Source{Name: f.name, Text: line}).whole(number), "a blank behind the last backslash")
		return
	}
	_, repetition := conditions(line)
	opens := strings.HasPrefix(repetition, "~") && strings.HasSuffix(repetition, "{")
	f.out = append(f.out, laidOut{depth: f.depth, text: line, verbatim: true})
	if opens {
		f.open((&Source{Name: f.name, Text: line}).whole(number))
	}
}

// blank is an empty line: at most one in a row, and none where a block begins.
func (f *formatter) blank() {
	if n := len(f.out); n > 0 && f.out[n-1].text+f.out[n-1].comment != "" && !strings.HasSuffix(f.out[n-1].text, "{") {
		f.out = append(f.out, laidOut{})
	}
}

// words lays out a line of words and braces, behind a config id if there is one.
func (f *formatter) words(line, id string, number int) {
	src := &Source{Name: f.name, Text: line}
	l := &lexer{src: src, line: int32(number), column: 1, diags: &f.diags, most: leastTokens, comments: true}
	if !l.isText() {
		return
	}
	l.all()
	if id != "" || staysWhole(l.tokens) {
		f.whole(src.whole(number), id, l.tokens)
		return
	}
	statement, bound := "", isBound(l.tokens)
	flush := func() {
		if strings.HasSuffix(statement, "\\") {
			f.fail(src.whole(number), "a word that ends in a backslash would continue its line")
		}
		if statement != "" {
			f.out = append(f.out, laidOut{depth: f.depth, text: statement, verbatim: bound})
		}
		statement = ""
	}
	first := true
	for _, t := range l.tokens {
		alone := first
		first = false
		switch t.kind {
		case lineToken: // behind a comment that ends in a backslash
			flush()
			first = true
		case wordToken:
			if word := t.Place.Text(); statement == "" && isLineOfText(word) {
				f.fail(src.whole(number), wouldBegin(word))
			}
			statement = strings.TrimPrefix(statement+" "+t.Place.Text(), " ")
		case openToken:
			f.attach(statement)
			statement = ""
			f.open(t.Place)
		case closeToken:
			flush()
			f.close(t.Place)
		case commentToken:
			comment := strings.TrimRight(t.Place.Text(), " \t\r")
			f.comment(statement, comment, alone)
			f.out[len(f.out)-1].verbatim = f.out[len(f.out)-1].verbatim || bound
			statement = ""
		}
	}
	flush()
}

// attach puts an opening brace behind its keyword: on this line, or the last one
// that holds a statement.
func (f *formatter) attach(statement string) {
	if statement != "" {
		f.out = append(f.out, laidOut{depth: f.depth, text: statement + " {"})
		return
	}
	for i := len(f.out) - 1; i >= 0; i-- {
		o := &f.out[i]
		if o.text == "" {
			continue
		}
		if o.verbatim || o.depth != f.depth || strings.HasSuffix(o.text, "{") || o.text == "}" {
			break
		}
		o.text += " {"
		if n := i + 1; n < len(f.out) && f.out[n].text+f.out[n].comment == "" { // where the block begins now
			f.out = slices.Delete(f.out, n, n+1)
		}
		for n := i + 1; n < len(f.out); n++ {
			f.out[n].depth++
		}
		return
	}
	f.out = append(f.out, laidOut{depth: f.depth, text: "{"})
}

func (f *formatter) open(at Place) {
	f.opened = append(f.opened[:f.depth], at)
	f.depth++
}

func (f *formatter) close(at Place) {
	if n := len(f.out); n > 0 && f.out[n-1].text+f.out[n-1].comment == "" {
		f.out = f.out[:n-1]
	}
	if f.depth == 0 {
		f.stray(at)
	} else {
		f.depth--
	}
	f.out = append(f.out, laidOut{depth: f.depth, text: "}"})
}

// stray is a closing brace where no block is open.
func (f *formatter) stray(at Place) {
	if !f.forID {
		f.fail(at, `stray "}"`)
	}
}

// comment lays a comment out: alone, or behind what stands before it.
func (f *formatter) comment(statement, comment string, alone bool) {
	if statement == "" && !alone && len(f.out) > 0 {
		f.out[len(f.out)-1].comment = comment
		return
	}
	f.out = append(f.out, laidOut{depth: f.depth, text: statement, comment: comment})
}

func (f *formatter) fail(at Place, message string) {
	f.diags.ErrorAt(at, message, "the text is left as it is; see weir check")
}

// text is the result.
func (f *formatter) text() []byte {
	var b bytes.Buffer
	for len(f.out) > 0 && f.out[len(f.out)-1].text+f.out[len(f.out)-1].comment == "" {
		f.out = f.out[:len(f.out)-1]
	}
	for _, o := range f.out {
		line := o.text
		if o.comment != "" {
			line = strings.TrimPrefix(line+" "+o.comment, " ")
		}
		if line != "" {
			b.WriteString(strings.Repeat("    ", o.depth))
			b.WriteString(line)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
