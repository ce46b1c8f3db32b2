package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"weir/conf/text"
	"weir/lvs"
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

// scalar is a value that one word says, nil where v is no such value.
func scalar(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return json.Number(text.Seconds(x))
	case netip.Addr:
		if !x.IsValid() {
			return ""
		}
		return x.String()
	case netip.AddrPort:
		if !x.IsValid() {
			return ""
		}
		return x.String()
	case netip.Prefix:
		if !x.IsValid() {
			return ""
		}
		return x.String()
	case lvs.Protocol, lvs.ForwardMethod:
		if v.IsZero() {
			return ""
		}
		return fmt.Sprint(x)
	case lvs.ServiceKey:
		return x.String()
	case lvs.ReuseMode:
		return [...]int{1, 0, 2}[x]
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return v.Uint()
	case reflect.Float64:
		return v.Float()
	}
	return nil
}

// tree is a value as objects, lists and scalars.
func tree(v reflect.Value, origins bool) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return tree(v.Elem(), origins)
	}
	if s := scalar(v); s != nil {
		return s
	}
	if v.Kind() == reflect.Slice {
		list := []any{}
		for i := range v.Len() {
			list = append(list, tree(v.Index(i), origins))
		}
		return list
	}
	o := &object{}
	o.take(v, origins)
	if from := o.origins(); origins && len(from.members) > 0 {
		o.members = append(o.members, member{"origins", from})
	}
	return o
}

// take adds a struct's fields; those of embedded ones are its own.
func (o *object) take(v reflect.Value, origins bool) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Type == reflect.TypeFor[given]():
			if v.CanAddr() {
				o.given = givenOf(v.Addr())
			}
		case field.Anonymous:
			o.take(v.Field(i), origins)
		case !field.IsExported() || name == "-":
		case field.Type.Kind() == reflect.Pointer && v.Field(i).IsNil():
		default:
			if name == "" {
				name = snake(field.Name)
			}
			o.members = append(o.members, member{name, tree(v.Field(i), origins)})
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
