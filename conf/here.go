package conf

import (
	"reflect"
	"strings"

	"weir/conf/text"
)

// Here is what the machine has that reads a file: the file is right without.
type Here struct {
	// Interface, User and Program tell whether it has what is called so.
	Interface, User, Program func(name string) bool
}

const codeNotHere = "not-here"

// sayMissing notes what a configuration names and the machine does not have.
func (r *reader) sayMissing(cfg *Config, here *Here) {
	if here == nil {
		return
	}
	missing := func(has func(string) bool, kind, name string, at text.Place) {
		if name == "" || at.Src == nil || has(name) {
			return
		}
		what := kind + " " + name
		r.once("here "+what, text.Diagnostic{
			Severity: text.Note, Code: codeNotHere, Subject: what, Machine: true, Message: "this machine has no " + what,
		}, at)
	}
	for i := range cfg.VRRPInstances {
		v := &cfg.VRRPInstances[i]
		missing(here.Interface, "interface", v.Interface, v.PlaceOf("interface"))
		for _, vip := range v.Addresses() {
			missing(here.Interface, "interface", vip.Device, vip.At())
		}
		for _, t := range v.Interfaces {
			missing(here.Interface, "interface", t.Name, t.at)
		}
	}
	eachScript(reflect.ValueOf(cfg), nil, func(s Script, at text.Place) {
		missing(here.User, "user", s.User, at)
		if words := strings.Fields(s.Command); len(words) > 0 {
			missing(here.Program, "program", words[0], at)
		}
	})
}

// eachScript visits the scripts of a value with where they were given, by the places of
// the block around it or their own.
func eachScript(v reflect.Value, places *given, visit func(s Script, at text.Place)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			eachScript(v.Elem(), places, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachScript(v.Index(i), nil, visit)
		}
	case reflect.Struct:
		if own := ownGiven(v); own != nil {
			places = own
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case name == "-" || !field.IsExported() && !field.Anonymous || field.Type == reflect.TypeFor[given]():
			case field.Type != reflect.TypeFor[Script]():
				eachScript(v.Field(i), places, visit)
			case places != nil:
				visit(v.Field(i).Interface().(Script), places.PlaceOf(name))
			}
		}
	}
}
