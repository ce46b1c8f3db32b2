package conf

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"weir/conf/text"
)

// showTree writes every value of a Config, each with where it comes from: what tests hold
// the reading to. What has no value is left out.
func (c *Config) showTree(w io.Writer) error {
	s := &treeShower{Writer: bufio.NewWriter(w)}
	for _, m := range (treeOf{}).tree(reflect.ValueOf(c), nil).(*object).members {
		s.member(m, nil, 0)
	}
	return s.Flush()
}

// treeShower writes blocks.
type treeShower struct{ *bufio.Writer }

func (s *treeShower) line(depth int, text, origin string) {
	text = strings.Repeat("    ", depth) + text
	if origin != "" {
		text = fmt.Sprintf("%-*s # %s", showIndent, text, origin)
	}
	s.WriteString(text + "\n")
}

// member writes one keyword, or a block.
func (s *treeShower) member(m member, g *given, depth int) {
	switch v := m.value.(type) {
	case *object:
		s.block(m.name, v, depth)
	case []any:
		for _, one := range v {
			s.member(member{m.name, one}, g, depth)
		}
	default:
		text := word1(v)
		if text == "" {
			return
		}
		origin := "default"
		if g != nil && g.Has(m.name) {
			origin = g.PlaceOf(m.name).String()
		}
		s.line(depth, m.name+" "+text, origin)
	}
}

// block writes a block, unless nothing is in it.
func (s *treeShower) block(name string, o *object, depth int) {
	empty := true
	for _, m := range o.members {
		if list, ok := m.value.([]any); m.value != "" && (!ok || len(list) > 0) {
			empty = false
		}
	}
	if empty || o.given == nil && o.zero() {
		return
	}
	head := name
	members := o.members
	// A block's name is its first member, under the block's own keyword.
	if len(members) > 0 && members[0].name == name {
		head += " " + fmt.Sprint(members[0].value)
		members = members[1:]
	}
	s.line(depth, head+" {", "")
	for _, m := range members {
		s.member(m, o.given, depth+1)
	}
	s.line(depth, "}", "")
}

// zero tells whether nothing of a block is set.
func (o *object) zero() bool {
	for _, m := range o.members {
		switch v := m.value.(type) {
		case *object:
			if !v.zero() {
				return false
			}
		case []any:
			if len(v) > 0 {
				return false
			}
		case bool:
			if v {
				return false
			}
		default:
			if s := word1(v); s != "" && s != "0" {
				return false
			}
		}
	}
	return true
}

// word1 is a scalar as the file would have it.
func word1(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool, json.Number:
		return text.Value(v)
	case string:
		if v != "" && strings.ContainsAny(v, " \t#!{}") {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		}
		return v
	}
	return fmt.Sprint(v)
}
