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
	all := scripts{known: map[reflect.Type]*scriptFields{}, visit: func(s *Script, at text.Place) {
		missing(here.User, "user", s.User, at)
		if words := strings.Fields(s.Command); len(words) > 0 {
			missing(here.Program, "program", words[0], at)
		}
	}}
	all.each(reflect.ValueOf(cfg), nil)
}

// scripts visits the scripts of values, by the types of which it knows where there are any: a
// large configuration has hundreds of thousands of structs with none.
type scripts struct {
	visit func(s *Script, at text.Place)
	// known are the fields of a struct that may hold scripts.
	known map[reflect.Type]*scriptFields
}

type scriptFields struct {
	given  bool // the struct knows where its keywords are given
	whole  bool // all fields have been looked at
	fields []scriptField
}

type scriptField struct {
	index   int
	keyword string
	single  bool // it is a script itself
}

// each visits the scripts of a value with where they were given, by the places of
// the block around it or their own.
func (s *scripts) each(v reflect.Value, places *given) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			s.each(v.Elem(), places)
		}
	case reflect.Slice:
		for i := range v.Len() {
			s.each(v.Index(i), nil)
		}
	case reflect.Struct:
		all := s.of(v.Type())
		if all.given && len(all.fields) > 0 && v.CanAddr() {
			places = givenOf(v.Addr())
		}
		for _, f := range all.fields {
			switch field := v.Field(f.index); {
			case !f.single:
				s.each(field, places)
			case places != nil:
				s.visit(field.Addr().Interface().(*Script), places.PlaceOf(f.keyword))
			}
		}
	}
}

// of are the fields of a type of structs.
func (s *scripts) of(t reflect.Type) *scriptFields {
	if known := s.known[t]; known != nil {
		return known
	}
	all := &scriptFields{given: hasGiven(t)}
	s.known[t] = all
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() && !field.Anonymous || field.Type == reflect.TypeFor[given]() {
			continue
		}
		if single := field.Type == reflect.TypeFor[Script](); single || s.in(field.Type) {
			all.fields = append(all.fields, scriptField{i, name, single})
		}
	}
	all.whole = true
	return all
}

// in says whether values of a type may hold scripts.
func (s *scripts) in(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	all := s.of(t)
	return t == reflect.TypeFor[Script]() || len(all.fields) > 0 || !all.whole // it holds itself
}
