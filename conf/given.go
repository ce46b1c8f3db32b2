package conf

import (
	"slices"

	"weir/conf/text"
)

// given notes where the keywords of a block stand. Every block of a Config has
// one, so that each value can say where it comes from; a keyword without a place
// is a default, or inherited.
type given struct{ *notes }

// notes are apart, so that a block without any, as a Loader keeps it, is small.
type notes struct {
	places []origin
	// lines are where the words of a list stand.
	lines []text.Place
	// filled are the tables whose defaults it has.
	filled []*blockSpec
	// most are the places, and the table, of most blocks, which take no memory of their own.
	most  [6]origin
	table [1]*blockSpec
}

// origin is where a keyword stands: blocks have few, so that a list is smaller and
// faster than a map.
type origin struct {
	keyword string
	at      text.Place
}

// own are the notes, which are made where there are none.
func (g *given) own() *notes {
	if g.notes == nil {
		g.notes = &notes{}
	}
	return g.notes
}

// fresh tells whether the defaults of a table are still to be filled in.
func (g *given) fresh(s *blockSpec) bool {
	n := g.own()
	if slices.Contains(n.filled, s) {
		return false
	}
	if n.filled == nil {
		n.filled = n.table[:0]
	}
	n.filled = append(n.filled, s)
	return true
}

func (g *given) note(keyword string, at text.Place) {
	n := g.own()
	if i := g.index(keyword); i >= 0 {
		n.places[i].at = at
		return
	}
	if n.places == nil {
		n.places = n.most[:0]
	}
	n.places = append(n.places, origin{keyword, at})
}

// noteLine remembers where a word of a list stands.
func (g *given) noteLine(at text.Place) {
	n := g.own()
	n.lines = append(n.lines, at)
}

// listed is where the word of a list stands whose number is n, from 0 on.
func (g *given) listed(n int) text.Place {
	if g.notes != nil && n < len(g.lines) {
		return g.lines[n]
	}
	return text.Place{}
}

func (g *given) index(keyword string) int {
	if g.notes == nil {
		return -1
	}
	for i := range g.places {
		if g.places[i].keyword == keyword {
			return i
		}
	}
	return -1
}

// Has tells whether a block gives a keyword.
func (g *given) Has(keyword string) bool { return g.index(keyword) >= 0 }

// PlaceOf is where a keyword was given, the zero Place where it was not.
func (g *given) PlaceOf(keyword string) text.Place {
	if i := g.index(keyword); i >= 0 {
		return g.places[i].at
	}
	return text.Place{}
}

// inheritor is a block that knows what it was given.
type inheritor interface {
	Has(keyword string) bool
	PlaceOf(keyword string) text.Place
	note(keyword string, at text.Place)
}

// saysNothing is a block that was given nothing, and does not note what it inherits.
type saysNothing struct{}

func (saysNothing) Has(string) bool           { return false }
func (saysNothing) PlaceOf(string) text.Place { return text.Place{} }
func (saysNothing) note(string, text.Place)   {}

// pass hands a value from an outer block on to one that does not say it itself.
func pass[V any](own, outer inheritor, keyword string, to *V, from V) {
	if !own.Has(keyword) && outer.Has(keyword) {
		*to = from
		own.note(keyword, outer.PlaceOf(keyword))
	}
}

// from gives a block what another says under another name.
func from[V any](own, outer inheritor, keyword, outerKeyword string, to *V, v V) {
	if own.Has(keyword) {
		return
	}
	*to = v
	if outer.Has(outerKeyword) {
		own.note(keyword, outer.PlaceOf(outerKeyword))
	}
}
