package text

import (
	"slices"
	"strings"
)

// Lines that Format may not part or join: those for one config id, and those with words
// that mean what they do only where they stand on their line.

// conditions parts the config ids at a line's beginning, one blank between them, from
// what stands behind them.
func conditions(head string) (ids, rest string) {
	for rest = head; strings.HasPrefix(rest, "@"); rest = strings.TrimLeft(rest, " \t\r\v\f") {
		id := rest
		if blank := strings.IndexAny(rest, " \t\n"); blank >= 0 {
			id = rest[:blank]
		}
		rest = rest[len(id):]
		ids = strings.TrimPrefix(ids+" "+strings.TrimRight(id, "\r"), " ")
	}
	return ids, rest
}

// continuesTextLine tells whether a line that a backslash continues is read line by line all
// the same: names are replaced, and lines of the text language taken, before lines are joined.
func continuesTextLine(line string) bool {
	first, further, found := strings.Cut(line, "\n")
	for found {
		if strings.Contains(first, "$") {
			return true
		}
		if head := strings.TrimLeft(further, " \t\r\v\f"); head != "" && strings.Contains("@~$", head[:1]) {
			return true
		}
		first, further, found = strings.Cut(further, "\n")
	}
	return false
}

// isLineOfText tells whether a line that begins with this word is one of the text
// language: a config id, a repetition or a definition.
func isLineOfText(word string) bool {
	return strings.HasPrefix(word, "@") || strings.HasPrefix(word, "~") || definedName(word) != ""
}

// isBound tells whether these words mean what they do only on their line: an include is
// one where it begins a line, and a name may stand for a comment, or for more lines
// where it ends one.
func isBound(words []Token) bool {
	for _, t := range words {
		if t.kind != wordToken {
			continue
		}
		if _, includes := includeLevels[t.Text]; includes || t.Text == "include_check" || strings.Contains(t.Place.Text(), "$") {
			return true
		}
	}
	return false
}

// staysWhole tells whether a line has to stay one line: it is bound, and its words
// would be parted.
func staysWhole(tokens []Token) bool {
	n := len(tokens)
	if n > 0 && tokens[n-1].kind == commentToken {
		n--
	}
	if n > 0 && tokens[n-1].kind == openToken {
		n--
	}
	parted := slices.ContainsFunc(tokens[:n], func(t Token) bool { return t.kind == openToken || t.kind == closeToken })
	return parted && isBound(tokens)
}

// whole lays out a line whose words and braces stay on one line: what its config id, if
// there is one, is for ends with it.
func (f *formatter) whole(at Place, id string, tokens []Token) {
	o := laidOut{depth: f.depth, text: id, verbatim: true}
	depth := f.depth
	leading := true // closing braces
	for i, t := range tokens {
		switch t.kind {
		case wordToken:
			if word := t.Place.Text(); isLineOfText(word) && (i == 0 || tokens[i-1].kind != wordToken) {
				f.fail(at, wouldBegin(word))
			}
		case lineToken:
			f.fail(at, "a comment that ends in a backslash")
		case commentToken:
			o.comment = strings.TrimRight(t.Place.Text(), " \t\r")
			continue
		case openToken:
			depth++
		case closeToken:
			depth--
		}
		if leading = leading && t.kind == closeToken; leading {
			o.depth = max(0, depth)
		}
		o.text = strings.TrimPrefix(o.text+" "+t.Place.Text(), " ")
	}
	if strings.HasSuffix(o.text, "\\") && o.comment == "" {
		f.fail(at, "a word that ends in a backslash would continue its line")
	}
	if id != "" {
		o.opens = depth - f.depth
	}
	f.nest(at, &o, depth)
	f.out = append(f.out, o)
}

// nest takes the depth behind a line that is whole. Lines for one config id in a row that
// open, or close, as many blocks are for different ids: they count once.
func (f *formatter) nest(at Place, o *laidOut, depth int) {
	f.forID = f.forID || o.opens != 0
	if n := len(f.out); o.opens != 0 && n > 0 && f.out[n-1].opens == o.opens {
		o.depth = f.out[n-1].depth
		return
	}
	for f.depth < depth {
		f.open(at)
	}
	for f.depth > depth {
		if f.depth == 0 {
			f.stray(at)
			return
		}
		f.depth--
	}
}

func wouldBegin(word string) string {
	return "a word that begins with " + word[:1] + " would begin a line, and mean something else there"
}
