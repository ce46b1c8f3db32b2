package conf

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"weir/conf/text"
)

// Statements are what a configuration was read from and into, for Config.Show.
type Statements struct {
	root *text.Block
	// read are the blocks with their kinds and what they were read into.
	read map[*text.Block]readBlock
}

// ShowOptions are what Config.Show leaves out, or does not.
type ShowOptions struct {
	// Secrets shows passwords.
	Secrets bool
	// NoDefaults leaves out what the file does not say.
	NoDefaults bool
}

// Show writes a configuration that was read with Options.Show: every statement in effect,
// with what it includes and every name replaced, and every default, each with where it
// comes from. What is written is a configuration of the same meaning: a default for which
// there are no words, such as a flag that is off, is a comment.
func (c *Config) Show(w io.Writer, o ShowOptions) error {
	s := &shower{Writer: bufio.NewWriter(w), Statements: c.Statements, ShowOptions: o, filled: map[readBlock]bool{}}
	s.block(s.root, s.read[s.root], 0)
	return s.Flush()
}

// shower writes blocks.
type shower struct {
	*bufio.Writer
	*Statements
	ShowOptions
	// filled are the blocks whose defaults have been written: what is read into one thing
	// may be several blocks.
	filled map[readBlock]bool
}

// showIndent is the column at which origins stand where lines are short.
const showIndent = 48

func (s *shower) line(depth int, text, origin string) {
	text = strings.Repeat("    ", depth) + text
	if origin != "" {
		text = fmt.Sprintf("%-*s # %s", showIndent, text, origin)
	}
	s.WriteString(text + "\n")
}

// block writes what stands in a block, and the defaults of what does not.
func (s *shower) block(b *text.Block, in readBlock, depth int) {
	said, changed := map[string]bool{}, map[string]bool{}
	for i, st := range b.Statements {
		if st.Broken || in.spec.line == nil && st.Entry == nil {
			continue
		}
		e := entryOf(st)
		if e != nil {
			said[e.slot], said[e.name] = true, true
		}
		if e != nil && !counts(b.Statements, i) {
			continue
		}
		s.statement(e, st, in, depth)
		if e != nil && e.word != nil && len(st.Words) == 2 && e.word(in.into) != st.Words[1].Text {
			changed[e.name] = true
		}
	}
	switch {
	case in.spec.line != nil || s.filled[in] || s.follows(b, in):
	case s.NoDefaults:
		s.derived(in, said, changed, depth)
	default:
		s.filled[in] = true
		s.defaults(in, said, depth)
	}
}

// derived writes the defaults that follow from keywords whose values are not shown as they
// were given: from the values that are shown others would follow.
func (s *shower) derived(in readBlock, said, changed map[string]bool, depth int) {
	for _, e := range in.spec.entries {
		if changed[e.derived] && !said[e.name] {
			s.value(e, in.into, "default", depth)
		}
	}
}

// follows tells whether another block comes that is read into the same.
func (s *shower) follows(b *text.Block, in readBlock) bool {
	for _, st := range slices.Backward(s.root.Statements) {
		if st.Block != nil && s.read[st.Block] == in {
			return st.Block != b
		}
	}
	return false
}

// counts tells whether a statement is the one that counts, of those that set the same.
func counts(all []*text.Statement, i int) bool {
	e := entryOf(all[i])
	if e.slot == "" {
		return true
	}
	same := func(st *text.Statement) bool {
		other := entryOf(st)
		return other != nil && other.slot == e.slot && !st.Broken
	}
	if e.first {
		return !slices.ContainsFunc(all[:i], same)
	}
	// Some keywords add to what they have said before.
	return e.word == nil || !slices.ContainsFunc(all[i+1:], same)
}

// statement writes a statement with its block.
func (s *shower) statement(e *entry, st *text.Statement, in readBlock, depth int) {
	words := make([]string, 0, len(st.Words))
	for _, w := range st.Words {
		words = append(words, w.Written())
	}
	origin := st.Place().String()
	if e != nil && e.flag != nil && !e.flag(in.into) { // what contradicts it has its way
		s.line(depth, "# "+e.name, "off: "+origin)
		return
	}
	switch {
	case e != nil && e.secret && !s.Secrets && len(words) > 1:
		words[len(words)-1] = e.instead
		origin += ", not shown"
	case e != nil && e.word != nil && len(words) == 2:
		if word := e.word(in.into); word != "" && word != st.Words[1].Text {
			words[1] = text.WriteWord(word)
		}
	}
	inner, opens := s.read[st.Block]
	if !opens {
		s.line(depth, strings.Join(words, " "), origin)
		return
	}
	s.line(depth, strings.Join(words, " ")+" {", origin)
	s.block(st.Block, inner, depth+1)
	s.line(depth, "}", "")
}

// defaults writes what a block does not say, and what it inherits.
func (s *shower) defaults(in readBlock, said map[string]bool, depth int) {
	places, _ := in.into.(interface{ PlaceOf(string) text.Place })
	for _, e := range in.spec.entries {
		if said[e.name] || said[e.slot] && e.slot != "" {
			continue
		}
		if e.inside != nil && e.inner != nil {
			s.missing(e, readBlock{e.inner, e.inside(in.into)}, depth)
			continue
		}
		if e.slot != e.name {
			continue // a second name, or what says several things
		}
		origin := "default"
		if places != nil && places.PlaceOf(e.slot).Src != nil {
			origin = places.PlaceOf(e.slot).String()
		}
		s.value(e, in.into, origin, depth)
	}
}

// value writes a keyword that does not stand in the file.
func (s *shower) value(e *entry, into any, origin string, depth int) {
	if e.flag != nil {
		if !e.flag(into) {
			s.line(depth, "# "+e.name, "off: "+origin)
			return
		}
		s.line(depth, e.name, origin)
		return
	}
	if e.word == nil {
		return
	}
	word := e.word(into)
	switch {
	case word == "" || e.initial == nil && e.otherwise == "" && origin == "default" && word != "on" && word != "off":
	default:
		s.line(depth, e.name+" "+text.WriteWord(word), origin)
	}
}

// missing writes a block that does not stand in the file.
func (s *shower) missing(e *entry, in readBlock, depth int) {
	if s.filled[in] {
		return
	}
	s.filled[in] = true
	s.line(depth, e.name+" {", "default")
	s.defaults(in, map[string]bool{}, depth+1)
	s.line(depth, "}", "")
}

// MarshalJSON is the configuration as programs read it.
func (c *Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(treeOf{}.tree(reflect.ValueOf(c), nil))
}

// JSON is the configuration with, in every block, origins: where each keyword
// was given. What has none there is a default.
func (c *Config) JSON(o ShowOptions) ([]byte, error) {
	return json.MarshalIndent(treeOf{origins: true, hide: !o.Secrets}.tree(reflect.ValueOf(c), nil), "", "  ")
}
