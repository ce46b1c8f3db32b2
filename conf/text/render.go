package text

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCells bounds the part of a line that is shown, in terminal columns.
const maxCells = 72

// Render writes every diagnostic with its line and a mark under the place, warnings that
// say the same once, the notes of one kind in one line, and a closing summary. It writes nothing when there is nothing to
// say.
func (d Diagnostics) Render(w io.Writer, colour bool) error { return d.render(w, colour, true) }

// RenderEach is Render with each of them by itself.
func (d Diagnostics) RenderEach(w io.Writer, colour bool) error { return d.render(w, colour, false) }

func (d Diagnostics) render(w io.Writer, colour, gather bool) error {
	if len(d.list) == 0 {
		return nil
	}
	out := &renderer{Writer: bufio.NewWriter(w), colour: colour}
	var notes gathered
	again := repeats(d.list)
	for i := range d.list {
		switch one := &d.list[i]; {
		case gather && one.Severity == Note && one.Subject != "":
			notes.add(one)
		case !gather || one.Severity != Warning:
			out.diagnostic(one, "")
		case again[i] > 0:
			out.diagnostic(one, "and at "+Plural(again[i], "place")+" more")
		case again[i] == 0:
			out.diagnostic(one, "")
		}
	}
	for _, n := range notes {
		if len(n) == 1 {
			out.diagnostic(n[0], "")
		} else {
			out.gathered(n)
		}
	}
	fmt.Fprintf(out, "\n%s\n", d.Summary())
	return out.Flush()
}

// repeats counts for each warning how many others say the same of other places of its file;
// it is -1 for these.
func repeats(list []Diagnostic) []int {
	counts := make([]int, len(list))
	first := map[[3]string]int{}
	for i := range list {
		d := &list[i]
		if d.Severity != Warning || d.Code == "" {
			continue
		}
		key := [3]string{d.File, d.Code, d.Message}
		if at, ok := first[key]; ok {
			counts[at]++
			counts[i] = -1
		} else {
			first[key] = i
		}
	}
	return counts
}

// gathered are the notes that are shown in a line each: those of one kind and one file.
type gathered [][]*Diagnostic

func (g *gathered) add(d *Diagnostic) {
	for i, list := range *g {
		if list[0].Code == d.Code && list[0].File == d.File {
			(*g)[i] = append(list, d)
			return
		}
	}
	*g = append(*g, []*Diagnostic{d})
}

// gatheredSays is what the notes of one kind say of their subjects.
var gatheredSays = map[string]string{
	"not-yet": "accepted and without effect yet", "no-meaning": "no meaning in weir", "not-here": "not on this machine (--elsewhere leaves this out)",
}

// gathered writes the notes of one kind as a list of their subjects.
func (r *renderer) gathered(notes []*Diagnostic) {
	var subjects []string
	places := map[string]int{}
	count := 0
	for _, d := range notes {
		if places[d.Subject] == 0 {
			subjects = append(subjects, d.Subject)
		}
		places[d.Subject] += max(1, d.Places)
		count += max(1, d.Places)
	}
	for i, s := range subjects {
		if places[s] > 1 {
			subjects[i] = fmt.Sprintf("%s (%d)", s, places[s])
		}
	}
	first := notes[0]
	says := gatheredSays[first.Code]
	fmt.Fprintf(r, "%s %s %s, %s: %s  [%s]\n", r.paint(bold, printable(first.File)+":"), r.paint(bold, Note.String()+":"),
		says, Plural(count, "place"), strings.Join(subjects, ", "), first.Code)
}

// Summary is the closing line: "2 errors, 1 warning in 3 files".
func (d Diagnostics) Summary() string {
	var parts []string
	if n := d.Errors(); n > 0 {
		parts = append(parts, Plural(n, "error"))
	}
	if n := d.Warnings(); n > 0 {
		parts = append(parts, Plural(n, "warning"))
	}
	if n := d.Remarks(); n > 0 {
		parts = append(parts, Plural(n, "note"))
	}
	if len(parts) == 0 {
		parts = append(parts, "no mistakes")
	}
	return strings.Join(parts, ", ") + " in " + Plural(d.files, "file")
}

// renderer writes diagnostics. Colour only repeats what the words say.
type renderer struct {
	*bufio.Writer
	colour bool
}

// The terminal's attributes (ECMA-48, SGR).
const (
	bold   = "1"
	red    = "1;31"
	yellow = "1;33"
	green  = "1;32"
)

func (r *renderer) paint(attribute, text string) string {
	if !r.colour || text == "" {
		return text
	}
	return "\x1b[" + attribute + "m" + text + "\x1b[0m"
}

// diagnostic writes one, and what else there is to say of it.
func (r *renderer) diagnostic(d *Diagnostic, more string) {
	where := printable(d.File)
	if d.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", where, d.Line, d.Column)
	}
	severity := [...]string{red, yellow, bold}[d.Severity]
	fmt.Fprintf(r, "%s %s %s", r.paint(bold, where+":"), r.paint(severity, d.Severity.String()+":"), d.Message)
	if d.Code != "" {
		fmt.Fprintf(r, "  [%s]", d.Code)
	}
	r.WriteByte('\n')
	if d.at.Src != nil {
		r.excerpt(d.at, severity, d.Hint)
	} else if d.Hint != "" {
		fmt.Fprintf(r, "      %s\n", d.Hint)
	}
	for _, note := range d.Notes {
		fmt.Fprintf(r, "      %s\n", note)
	}
	if more != "" {
		fmt.Fprintf(r, "      %s\n", more)
	}
	for _, from := range d.includes() {
		fmt.Fprintf(r, "      included from %s\n", from)
	}
	if len(d.IDs) > 0 {
		fmt.Fprintf(r, "      with config id %s\n", printable(strings.Join(d.IDs, ", ")))
	}
	if d.Machine {
		fmt.Fprintf(r, "      on this machine; --elsewhere leaves this out\n")
	}
}

// includes are the places of the includes by which a diagnostic's file was read, the
// innermost first.
func (d *Diagnostic) includes() (list []string) {
	if d.at.Src == nil {
		return nil
	}
	for from := d.at.Src.from; from.Src != nil; from = from.Src.from {
		list = append(list, fmt.Sprintf("%s:%d", printable(from.Src.Name), from.line))
	}
	return list
}

// excerpt writes the line of the place, and under it the mark with the hint.
func (r *renderer) excerpt(at Place, attribute, hint string) {
	before, marked, after := window(at)
	fmt.Fprintf(r, "%5d | %s\n", at.line, strings.TrimRight(before+marked+after, " \t"))
	mark := "^"
	if n := cells(marked); n > 1 {
		mark += strings.Repeat("~", n-1)
	}
	fmt.Fprintf(r, "      | %s%s", padding(before), r.paint(attribute, mark))
	if hint != "" {
		fmt.Fprintf(r, " %s", r.paint(green, hint))
	}
	r.WriteByte('\n')
}

// window is the line around the place in three parts, clipped to maxCells with
// an ellipsis on the sides where something is left out.
func window(at Place) (before, marked, after string) {
	text := at.Src.Text
	left, cut := int(at.start), false
	for n := 0; left > 0 && text[left-1] != '\n'; n++ {
		if n == maxCells*2/3 {
			cut = true
			break
		}
		_, size := utf8.DecodeLastRuneInString(text[:left])
		left -= size
	}
	before = strings.TrimPrefix(text[left:at.start], byteOrderMark)
	if cut {
		before = "…" + before
	}
	before = printable(before)
	marked, rest := clip(text[at.start:at.end], maxCells/2)
	if rest {
		return before, marked + "…", ""
	}
	after, rest = clip(text[at.end:], max(0, maxCells-cells(before)-cells(marked)))
	if rest {
		after += "…"
	}
	return before, marked, after
}

// clip is the first line of text up to a number of cells, and whether more of
// the line follows.
func clip(text string, limit int) (string, bool) {
	used := 0
	for i, c := range text {
		if c == '\n' || strings.HasPrefix(text[i:], "\r\n") {
			return printable(text[:i]), false
		}
		if used += width(c); used > limit {
			return printable(text[:i]), true
		}
	}
	return printable(text), false
}

// padding is as wide as text on a terminal: a tab stays a tab.
func padding(text string) string {
	var b strings.Builder
	for _, c := range text {
		if c == '\t' {
			b.WriteByte('\t')
			continue
		}
		b.WriteString("  "[:width(c)])
	}
	return b.String()
}

func cells(text string) int {
	n := 0
	for _, c := range text {
		n += width(c)
	}
	return n
}

// width is how many terminal columns a rune takes (Unicode Annex 11): none for
// a combining mark, two for the scripts of East Asia.
func width(c rune) int {
	switch {
	case unicode.Is(unicode.Mn, c), unicode.Is(unicode.Me, c):
		return 0
	case c >= 0x1100 && c <= 0x115f, c >= 0x2e80 && c <= 0xa4cf, c >= 0xac00 && c <= 0xd7a3,
		c >= 0xf900 && c <= 0xfaff, c >= 0xfe30 && c <= 0xfe6f, c >= 0xff00 && c <= 0xff60,
		c >= 0xffe0 && c <= 0xffe6, c >= 0x1f300 && c <= 0x1faff, c >= 0x20000 && c <= 0x3fffd:
		return 2
	}
	return 1
}
