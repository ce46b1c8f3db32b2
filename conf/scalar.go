package conf

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"weir/conf/text"
	"weir/lvs"
)

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

// wordOf is the word that says a value, "" where none does.
func wordOf[V any](k kind[V], v V) string {
	var word string
	switch s := scalar(reflect.ValueOf(v)).(type) {
	case nil:
		return ""
	case string:
		word = s
	default:
		word = text.Value(s)
	}
	if word == "" {
		return ""
	}
	if read, c := k.parse(word); !c.fits() || !reflect.DeepEqual(read, v) {
		return ""
	}
	return word
}
