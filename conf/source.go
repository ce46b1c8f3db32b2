package conf

import "strings"

// source is the text of one file, and how it came to be read.
type source struct {
	name string
	text string
	// order counts the files in the order of reading, for sorting.
	order int
	// from is the include statement's place; its src is nil in the first file.
	from place
}

// place is a stretch of a source on one line.
type place struct {
	src *source
	// line and column are 1-based; the column counts runes.
	line, column int
	// start and end are byte offsets into src.text.
	start, end int
}

// text is what stands at the place, as it is written.
func (p place) text() string { return p.src.text[p.start:p.end] }

// through is the place from p's start to q's end.
func (p place) through(q place) place {
	if q.src == p.src && q.line == p.line && q.end > p.end {
		p.end = q.end
	}
	return p
}

// alone tells whether nothing but blanks stands before p on its line.
func (p place) alone() bool {
	before := p.src.text[max(0, p.start-maxIndent):p.start]
	i := strings.LastIndexByte(before, '\n')
	if i < 0 && p.start > maxIndent {
		return false
	}
	return strings.Trim(before[i+1:], " \t\ufeff") == ""
}

// maxIndent bounds how far alone looks back, so that a file of one endless
// line costs no more than another.
const maxIndent = 256
