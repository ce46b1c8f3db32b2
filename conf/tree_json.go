package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// JSON of a Config has the keywords for names, times in seconds, and words for
// what has words in the file. The tree of it is also what "show config" prints.

// object is a block: its members in order, and where its keywords were given.
type object struct {
	members []member
	given   *given
}

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Fprintf(&b, "%q:%s", m.name, value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// treeOf says what a tree holds beside the values.
type treeOf struct {
	// origins are where values were given.
	origins bool
	// hide leaves out what has the tag "secret".
	hide bool
}

// tree is a value as objects, lists and scalars. What has no places of its own has those
// of the block around it.
func (t treeOf) tree(v reflect.Value, around *given) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return t.tree(v.Elem(), around)
	}
	if s := scalar(v); s != nil {
		return s
	}
	if v.Kind() == reflect.Slice {
		list := []any{}
		for i := range v.Len() {
			list = append(list, t.tree(v.Index(i), nil))
		}
		return list
	}
	o := &object{given: ownGiven(v)}
	if o.given == nil {
		o.given = around
	}
	t.take(o, v)
	if from := o.origins(); t.origins && len(from.members) > 0 {
		o.members = append(o.members, member{"origins", from})
	}
	return o
}

// ownGiven is what a block was given, nil where it does not know.
func ownGiven(v reflect.Value) *given {
	if !v.CanAddr() || !hasGiven(v.Type()) {
		return nil
	}
	return givenOf(v.Addr())
}

// take adds a struct's fields; those of embedded ones are its own.
func (t treeOf) take(o *object, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Type == reflect.TypeFor[given]():
		case field.Anonymous:
			t.take(o, v.Field(i))
		case !field.IsExported() || name == "-":
		case field.Type.Kind() == reflect.Pointer && v.Field(i).IsNil():
		default:
			if name == "" {
				name = snake(field.Name)
			}
			value := t.tree(v.Field(i), o.given)
			if t.hide && field.Tag.Get("secret") != "" && value != "" {
				value = "(not shown)"
			}
			o.members = append(o.members, member{name, value})
		}
	}
}

// givenOf is what a block was given.
func givenOf(block reflect.Value) *given {
	g, ok := block.Interface().(interface{ self() *given })
	if !ok {
		return nil
	}
	return g.self()
}

func (g *given) self() *given { return g }

// lvsNames are the keywords of lvs' fields where they are not the same word.
var lvsNames = map[string]string{
	"ReuseMode": "conn_reuse_mode", "ExpireNoDest": "expire_nodest_conn", "SloppyTCP": "sloppy_tcp",
	"None": "tcp_none", "Established": "tcp_established", "SynSent": "tcp_syn_sent", "SynRecv": "tcp_syn_recv",
	"FinWait": "tcp_fin_wait", "TimeWait": "tcp_time_wait", "Close": "tcp_close", "CloseWait": "tcp_close_wait",
	"LastAck": "tcp_last_ack", "Listen": "tcp_listen", "SynAck": "tcp_synack",
}

// snake is a field's name as JSON has it, where no keyword is: of lvs.
func snake(name string) string {
	if keyword, ok := lvsNames[name]; ok {
		return keyword
	}
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' && i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	return b.String()
}

// origins are where the members were given, in their order.
func (o *object) origins() *object {
	from := &object{}
	if o.given == nil {
		return from
	}
	for _, m := range o.members {
		if o.given.Has(m.name) {
			from.members = append(from.members, member{m.name, o.given.PlaceOf(m.name).String()})
		}
	}
	return from
}
