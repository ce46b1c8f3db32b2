package conf

import (
	"slices"
	"strings"

	"weir/conf/text"
)

// What the tree of blocks asks a kind of block, see text.Grammar.

// lookup is the entry of a keyword, nil when the block does not know it.
func (s *blockSpec) lookup(name string) *entry { return s.byName[name] }

// Lookup is what the tree of blocks has to know of a word.
func (s *blockSpec) Lookup(word string) *text.Keyword {
	if e := s.lookup(word); e != nil {
		return &e.keyword
	}
	return nil
}

// Holder is the first keyword whose block may hold a word. What looks like an address
// may stand in any list.
func (s *blockSpec) Holder(word string) string {
	for _, e := range s.entries {
		listed := e.inner != nil && e.inner.line != nil && (strings.ContainsAny(word, ".:@") || e.inner.words != nil && e.inner.words(word) && !s.Near(word))
		if listed || e.inner != nil && e.inner.lookup(word) != nil {
			return e.name
		}
	}
	return ""
}

// Near tells whether a word is near one of the block's.
func (s *blockSpec) Near(word string) bool {
	_, known := s.meantBy(word)
	return known || text.Nearest(word, s.names()) != ""
}

// Listed tells whether the block is a list, of which a word may begin a line.
func (s *blockSpec) Listed(word string) bool {
	return s.line != nil && (s.words == nil || s.words(word))
}

// Guess is the keyword with a block that a statement's was meant to be, nil where it is near
// none. A block with a name that belongs outside any block is that: it stands where it may
// not. But it is the block's own that is meant where it begins with a word of that one, or
// holds nothing.
func (s *blockSpec) Guess(st *text.Statement, first string) *text.Keyword {
	word := st.Keyword()
	if outer := s.root.lookup(word); outer != nil && outer.inner != nil && len(st.Words) > 1 {
		if own := s.ownOf(word); own != nil && (first == "" || own.inner.lookup(first) != nil && outer.inner.lookup(first) == nil) {
			return &own.keyword
		}
		return &outer.keyword
	}
	var blocks []string
	for _, e := range s.entries {
		if e.inner != nil {
			blocks = append(blocks, e.name)
		}
	}
	near := text.Nearest(word, s.names())
	if m, ok := s.meantBy(word); ok {
		near = m.instead
	}
	if !slices.Contains(blocks, near) {
		return nil
	}
	return s.Lookup(near)
}

// ownOf is the keyword with a block that the block has for a word that belongs outside any,
// nil where it has none.
func (s *blockSpec) ownOf(outer string) *entry {
	m, ok := s.meantBy(outer)
	if !ok {
		return nil
	}
	if e := s.lookup(m.instead); e != nil && e.inner != nil && e.inner.line == nil {
		return e
	}
	return nil
}
