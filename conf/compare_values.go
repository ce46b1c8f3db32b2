package conf

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

// changeText is a value in a change: a flag as on or off, a time with its unit, a list
// with commas, and of several words together the first and those that say something.
// Where there is no value it is what the table says of that.
func changeText(v reflect.Value, row *entry) string {
	text := valueText(v)
	if _, address := v.Interface().(netip.Addr); address && text == "" {
		if text = row.otherwise; text == "" {
			text = "none"
		}
	}
	return text
}

func valueText(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	switch s := scalar(v).(type) {
	case nil:
	case bool:
		return text.Value(s)
	default:
		return fmt.Sprint(s)
	}
	switch x := v.Interface().(type) {
	case Peer:
		return x.String()
	case StatusRange:
		return x.String()
	case lvs.AccessRule:
		return accessText(x)
	case SpareTier:
		return x.String()
	case lvs.MarkRule:
		return markText(x)
	}
	var all []string
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			all = append(all, valueText(v.Index(i)))
		}
		return strings.Join(all, ", ")
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || v.Field(i).IsZero() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = snake(field.Name)
		}
		text := valueText(v.Field(i))
		if len(all) > 0 || i > 0 {
			text = name + " " + text
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// markText is a rule of mark as the file has it.
func markText(m lvs.MarkRule) string {
	text := fmt.Sprint(m.Mark)
	if m.Source.IsValid() {
		text += " from " + m.Source.String()
	}
	if m.Destination.IsValid() {
		text += " to " + m.Destination.String()
	}
	if m.Protocol != 0 {
		text += " protocol " + m.Protocol.String()
	}
	switch {
	case m.FirstPort != m.LastPort:
		text += fmt.Sprintf(" port %d-%d", m.FirstPort, m.LastPort)
	case m.FirstPort != 0:
		text += fmt.Sprintf(" port %d", m.FirstPort)
	}
	return text
}
