package conf

import (
	"fmt"

	"weir/conf/text"
)

// effect is what weir makes of a keyword that it has read.
type effect uint8

const (
	// The zero effect is a keyword that does what it says; notYet is one whose feature is still to come: weir goes on without.
	notYet effect = iota + 1
	// meaningless is one that has nothing to act on in weir.
	meaningless
)

// yet marks keywords whose features are still to come.
func yet(entries ...*entry) []*entry { return marked(notYet, "", entries) }

// ignored marks keywords that have nothing to act on in weir, and why.
func ignored(why string, entries ...*entry) []*entry { return marked(meaningless, why, entries) }

func marked(as effect, why string, entries []*entry) []*entry {
	for _, e := range entries {
		e.effect, e.why = as, why
	}
	return entries
}

// The codes of what weir says about keywords that do nothing, or not yet.
const (
	codeNotYet      = "not-yet"
	codeNotReady    = "not-ready"
	codeMeaningless = "no-meaning"
)

// sayEffect says what a keyword does where that is not what it says: once for
// each keyword of a kind of block.
func (r *reader) sayEffect(e *entry, st *text.Statement, b *text.Block) {
	name := e.name
	switch e.effect {
	case notYet:
		r.once(e, text.Diagnostic{Severity: text.Note, Code: codeNotYet, Subject: name, Message: name + " is accepted and has no effect yet"}, st.Place())
	case meaningless:
		r.once(e, text.Diagnostic{Severity: text.Note, Code: codeMeaningless, Subject: name, Message: name + " has no meaning in weir: " + e.why}, st.Place())
	}
}

// once gives a diagnostic for the first of several places, and counts the rest.
func (r *reader) once(key any, d text.Diagnostic, at text.Place) {
	if r.said == nil {
		r.said = map[any]*repeat{}
	}
	if first := r.said[key]; first != nil {
		first.more++
		return
	}
	r.said[key] = &repeat{d: d, at: at}
	r.order = append(r.order, key)
}

// repeat is a diagnostic that may be due at several places.
type repeat struct {
	d    text.Diagnostic
	at   text.Place
	more int
}

// sayRepeats gives the diagnostics that once has gathered.
func (r *reader) sayRepeats() {
	for _, key := range r.order {
		said := r.said[key]
		said.d.Places = said.more + 1
		if said.more > 0 {
			said.d.Notes = append(said.d.Notes, fmt.Sprintf("and at %s more", text.Plural(said.more, "place")))
		}
		r.diags.At(said.d, said.at)
	}
	r.said, r.order = nil, nil
}

// pending says that a value is right, but that weir cannot do it yet.
func (r *reader) pending(what string, at text.Place) {
	r.once("value "+what, text.Diagnostic{
		Severity: text.Warning, Code: codeNotReady, Message: what + " is accepted, but weir cannot do it yet",
		Hint: `"weir run" refuses this file`, Unready: true,
	}, at)
}
