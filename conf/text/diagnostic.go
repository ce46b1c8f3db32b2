package text

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity tells a mistake that stops weir from a remark.
type Severity uint8

const (
	// Error means that nothing of the file is used.
	Error Severity = iota
	// Warning means that the file is used, and how it was understood.
	Warning
	// Note means that the file is used, and what of it has no effect.
	Note
)

// String is the word that a severity is shown as.
func (s Severity) String() string {
	return [...]string{"error", "warning", "note"}[s]
}

// Diagnostic is one mistake or remark, with its place.
type Diagnostic struct {
	Severity Severity
	// Code names a kind of warning, such as protocol-default.
	Code string
	// Kind is the code of an error for programs, which nobody can silence or ask about; empty
	// is KindSyntax. People do not see it.
	Kind string
	File string
	// Line and Column are 1-based; the column counts runes. Line is 0 when
	// the diagnostic is about the file as a whole.
	Line, Column int
	// Message says what is wrong, Hint what was expected or what to do.
	Message string
	Hint    string
	// Notes name other places that have to do with it.
	Notes []string
	// Subject is the keyword that a note is about, and Places at how many places: notes of
	// one kind are shown as a list of their subjects. Places is 0 for 1.
	Subject string
	Places  int
	// Machine is one that another machine may not give rise to.
	Machine bool
	// IDs are the config ids that give rise to it, empty where all that were tried do.
	IDs []string

	at Place
	// repeated is one that a repetition may give more than once.
	repeated bool
	// Unready is a file that is right and that weir cannot run yet.
	Unready bool
	// refused is one for which keepalived -t refuses the file.
	refused bool
}

// The kinds of errors, and of what says that there is more.
const (
	KindSyntax  = "syntax"          // quotes, braces, includes, the text language
	KindKeyword = "unknown-keyword" // a word that no block, or not this one, knows
	KindMissing = "missing"         // a value or a keyword that has to be there
	KindTwice   = "duplicate"       // what may be there once
	KindValue   = "invalid"         // any other value, or values that do not go together
	KindFile    = "file"            // the file cannot be read
	KindWeir    = "internal"        // a mistake of weir's own
	kindMore    = "more"            // there are more than are shown
)

// Diagnostics is all that one or more files gave rise to.
type Diagnostics struct {
	list  []Diagnostic
	files int
}

// All lists the diagnostics: errors first, then in the order of reading.
func (d Diagnostics) All() []Diagnostic { return d.list }

// Files is the number of files that were read.
func (d Diagnostics) Files() int { return d.files }

// Errors counts the errors.
func (d Diagnostics) Errors() int { return d.count(Error) }

// Warnings counts the warnings.
func (d Diagnostics) Warnings() int { return d.count(Warning) }

// Remarks counts the notes.
func (d Diagnostics) Remarks() int { return d.count(Note) }

// Unready tells whether the file asks for what weir cannot do yet, and cannot
// leave out.
func (d Diagnostics) Unready() bool {
	return slices.ContainsFunc(d.list, func(one Diagnostic) bool { return one.Unready })
}

// Refused tells whether keepalived -t refuses the file: for an error, and for
// the warnings that it takes for one.
func (d Diagnostics) Refused() bool {
	return slices.ContainsFunc(d.list, func(one Diagnostic) bool { return one.Severity == Error || one.refused })
}

// Judge takes out the warnings and notes of some kinds, and marks those for which
// keepalived -t refuses the file.
func (d *Diagnostics) Judge(silenced []string, refused func(code string) bool) {
	d.list = slices.DeleteFunc(d.list, func(one Diagnostic) bool {
		return one.Severity != Error && !one.Unready && slices.Contains(silenced, one.Code)
	})
	for i := range d.list {
		d.list[i].refused = refused(d.list[i].Code)
	}
}

// Refuse makes errors of what weir cannot do yet and cannot leave out: "weir run" does
// not start with it.
func (d *Diagnostics) Refuse() {
	for i := range d.list {
		if d.list[i].Unready {
			d.list[i].Severity = Error
		}
	}
	sortBySeverity(d.list)
}

// Harmless tells whether nothing is said of the file, but for notes about this machine.
func (d Diagnostics) Harmless() bool {
	return !slices.ContainsFunc(d.list, func(one Diagnostic) bool { return one.Severity != Note || !one.Machine })
}

// Keep takes out the diagnostics that are not wanted.
func (d *Diagnostics) Keep(wanted func(Diagnostic) bool) {
	d.list = slices.DeleteFunc(d.list, func(one Diagnostic) bool { return !wanted(one) })
}

// HasErrors tells whether the file cannot be used.
func (d Diagnostics) HasErrors() bool { return d.Errors() > 0 }

func (d Diagnostics) count(s Severity) int {
	n := 0
	for i := range d.list {
		if d.list[i].Severity == s {
			n++
		}
	}
	return n
}

// Append adds the diagnostics of another file.
func (d *Diagnostics) Append(other Diagnostics) {
	d.list = append(d.list, other.list...)
	d.files += other.files
	sortBySeverity(d.list)
}

// Collector gathers diagnostics during a run.
type Collector struct {
	list []Diagnostic
	// Now is what is being looked at. A diagnostic without a place of its own stands
	// there.
	Now Place
	// Counts are of each severity, with what is not kept.
	Counts  [3]int
	stopped bool
	// cut is a text that was not read to its end.
	cut bool
	// seen are those of repetitions.
	seen map[string]bool
	// once are the errors that are given once for many places, by their kind.
	once map[string]*onceError
	// Holds has it keep the diagnostics in Held as they come, to be given later.
	Holds bool
	Held  []Held
}

// Held is a diagnostic that is not given yet.
type Held struct {
	D  Diagnostic
	At Place
}

// MaxDiagnostics is how many of each severity are kept: a file with more
// mistakes is not a configuration.
const MaxDiagnostics = 1000

// Full tells whether reading on makes no sense.
func (c *Collector) Full() bool {
	c.cut = c.cut || c.Counts[Error] >= MaxDiagnostics && !c.stopped
	return c.stopped || c.cut
}

// Stop gives a last diagnostic: the text is no configuration.
func (c *Collector) Stop(at Place, message, hint string) {
	if !c.stopped {
		c.ErrorAt(at, message, hint)
	}
	c.stopped = true
}

// Add keeps a diagnostic. What it repeats of the text may hold control
// characters; no message carries them to a terminal or a log.
func (c *Collector) Add(d Diagnostic) {
	if d.repeated && !c.first(&d) {
		return
	}
	if c.Counts[d.Severity]++; c.Counts[d.Severity] > MaxDiagnostics {
		return
	}
	d.Message, d.Hint = printable(d.Message), printable(d.Hint)
	for i := range d.Notes {
		d.Notes[i] = printable(d.Notes[i])
	}
	c.list = append(c.list, d)
}

// first tells whether no diagnostic was given before that says the same of the
// same place.
func (c *Collector) first(d *Diagnostic) bool {
	key := fmt.Sprintf("%s:%d:%d:%s", d.File, d.Line, d.Column, d.Message)
	if c.seen[key] {
		return false
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[key] = true
	return true
}

// ErrorAt gives an error in the text itself at its place.
func (c *Collector) ErrorAt(at Place, message, hint string, notes ...string) {
	c.ErrorOf(KindSyntax, at, message, hint, notes...)
}

// ErrorOf gives an error of a kind at its place.
func (c *Collector) ErrorOf(kind string, at Place, message, hint string, notes ...string) {
	c.At(Diagnostic{Severity: Error, Kind: kind, Message: message, Hint: hint, Notes: notes}, at)
}

// onceError is an error of many places.
type onceError struct {
	// index is where it is in the list, more how many places more there are.
	index, more int
}

// ErrorOnce gives an error at the first of the places that have one cause.
func (c *Collector) ErrorOnce(cause string, at Place, message, hint string) {
	if first := c.once[cause]; first != nil {
		first.more++
		return
	}
	if c.once == nil {
		c.once = map[string]*onceError{}
	}
	before := len(c.list)
	c.ErrorAt(at, message, hint)
	c.once[cause] = &onceError{index: before}
	if len(c.list) == before {
		c.once[cause].index = -1
	}
}

// countOnce says at how many places more an error stands.
func (c *Collector) countOnce() {
	for _, one := range c.once {
		if one.more > 0 && one.index >= 0 {
			d := &c.list[one.index]
			d.Notes = append(d.Notes, "and at "+Plural(one.more, "place")+" more")
		}
	}
	c.once = nil
}

// WarnAt gives a warning of a kind at its place.
func (c *Collector) WarnAt(at Place, code, message, hint string, notes ...string) {
	c.At(Diagnostic{Severity: Warning, Code: code, Message: message, Hint: hint, Notes: notes}, at)
}

// At gives a diagnostic at a place. Its file, line and column are filled in.
func (c *Collector) At(d Diagnostic, at Place) {
	if at.Src == nil {
		at = c.Now
	}
	if at.Src == nil {
		c.Add(d)
		return
	}
	if c.Holds {
		c.Counts[d.Severity]++
		c.Held = append(c.Held, Held{d, at})
		return
	}
	if at.Src.expanded {
		d.Notes = append(d.Notes, "where it reads: "+Shorten(at.lineText()))
		d.repeated = true
	}
	at = at.written()
	d.at = at
	d.File, d.Line, d.Column = at.Src.Name, int(at.line), int(at.column)
	c.Add(d)
}

// Finish puts the diagnostics in the order in which they are shown.
func (c *Collector) Finish(name string, files int) Diagnostics {
	c.countOnce()
	sortByPlace(c.list)
	for severity, n := range c.Counts {
		last := Diagnostic{Severity: Severity(severity), Kind: kindMore, File: name}
		switch {
		case last.Severity == Error && c.cut:
			last.Message = fmt.Sprintf("%d errors: the rest is not looked at", MaxDiagnostics)
			last.Hint = "expected a keepalived.conf"
		case n > MaxDiagnostics:
			last.Message = fmt.Sprintf("%s more at least, which are not shown", Plural(n-MaxDiagnostics, last.Severity.String()))
		default:
			continue
		}
		c.list = append(c.list, last)
	}
	sortBySeverity(c.list)
	return Diagnostics{list: c.list, files: files}
}

// sortByPlace sorts in the order of reading.
func sortByPlace(list []Diagnostic) {
	slices.SortStableFunc(list, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func sortBySeverity(list []Diagnostic) {
	slices.SortStableFunc(list, func(a, b Diagnostic) int { return cmp.Compare(a.Severity, b.Severity) })
}

// order is the number of the file in the order of reading.
func (d *Diagnostic) order() int {
	if d.at.Src == nil {
		return 0
	}
	return d.at.Src.order
}

// Plural is a number of things in words.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printable replaces what would disturb a terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' || unicode.IsPrint(c) {
			return c
		}
		return utf8.RuneError
	}, s)
}
