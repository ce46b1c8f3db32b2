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

// Show writes the configuration as it is in effect: every value, defaults too,
// each with where it comes from. What has no value is left out.
func (c *Config) Show(w io.Writer) error {
	s := &shower{Writer: bufio.NewWriter(w)}
	for _, m := range tree(reflect.ValueOf(c), false).(*object).members {
		s.member(m, nil, 0)
	}
	return s.Flush()
}

// shower writes blocks.
type shower struct{ *bufio.Writer }

// showIndent is the column at which origins stand where lines are short.
const showIndent = 48

func (s *shower) line(depth int, text, origin string) {
	text = strings.Repeat("    ", depth) + text
	if origin != "" {
		text = fmt.Sprintf("%-*s # %s", showIndent, text, origin)
	}
	s.WriteString(text + "\n")
}

// member writes one keyword, or a block.
func (s *shower) member(m member, g *given, depth int) {
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
func (s *shower) block(name string, o *object, depth int) {
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

// MarshalJSON is the configuration as programs read it.
func (c *Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(tree(reflect.ValueOf(c), false))
}

// JSON is the configuration with, in every block, origins: where each keyword
// was given. What has none there is a default.
func (c *Config) JSON() ([]byte, error) {
	return json.MarshalIndent(tree(reflect.ValueOf(c), true), "", "  ")
}
