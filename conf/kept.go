package conf

import (
	"maps"
	"slices"
	"strings"

	"weir/conf/text"
)

// kept are the parts of the reading of before. The next reading looks for each where it stood, which
// costs one look at its text; elsewhere it is found by its text.
type kept struct {
	byText map[string]*solo
	first  *solo
	// next is the part that is expected to be the next one.
	next *solo
	// reading counts the readings.
	reading int
}

// keptSolo is what kept notes of a part.
type keptSolo struct {
	// next is the part behind it in the reading of before.
	next *solo
	// reading is the number of the last reading that had it.
	reading int
}

// Size is how many bytes and lines the part has.
func (s *solo) Size() (bytes int, lines int32) { return len(s.text), s.lines }

// begin is called before a reading.
func (k *kept) begin() { k.next = k.first }

// expected is the part that is expected next, where a text begins with it.
func (k *kept) expected(rest string) text.Known {
	if k == nil || k.next == nil || !strings.HasPrefix(rest, k.next.text) {
		return nil
	}
	s := k.next
	if !strings.HasSuffix(s.text, "\n") && len(rest) > len(s.text) { // its last line goes on
		return nil
	}
	k.next = s.kept.next
	return s
}

// known is the part that has a text, wherever it stood.
func (k *kept) known(text string) text.Known {
	if k == nil {
		return nil
	}
	s := k.byText[text]
	if s == nil {
		if k.next != nil { // it is likely to stand where the new one is
			k.next = k.next.kept.next
		}
		return nil
	}
	k.next = s.kept.next
	return s
}

// keep keeps the parts of a reading, and forgets those that it had not. One whose remarks name lines
// of the file is not kept.
func (k *kept) keep(ps *parts) {
	if k.reading++; k.byText == nil {
		k.byText = map[string]*solo{}
	}
	k.first = nil
	behind := &k.first
	if ps != nil {
		for _, p := range ps.list {
			if namesLines(p.read) || namesLines(p.resolved) {
				continue
			}
			if p.solo.kept.reading == 0 {
				k.byText[p.text] = p.solo
			}
			p.solo.kept.reading = k.reading
			*behind, behind = p.solo, &p.solo.kept.next
		}
	}
	*behind = nil
	maps.DeleteFunc(k.byText, func(_ string, s *solo) bool { return s.kept.reading != k.reading })
}

// namesLines tells whether remarks have notes, which name lines.
func namesLines(remarks []text.Held) bool {
	return slices.ContainsFunc(remarks, func(h text.Held) bool { return len(h.D.Notes) > 0 })
}
