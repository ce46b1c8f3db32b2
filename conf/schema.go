package conf

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"weir/lvs"
)

// Schema is a JSON schema (draft 2020-12) of what a Config is as JSON. It is
// made of the types; the descriptions are the keywords' own.
func Schema() ([]byte, error) {
	s := &schemer{language: keepalived()}
	root := s.of(reflect.TypeFor[Config](), s.language.root)
	root.members = append([]member{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "weir's configuration with every default filled in"},
	}, root.members...)
	text, err := json.MarshalIndent(root, "", "  ")
	return append(text, '\n'), err
}

type schemer struct{ language *language }

// of is the schema of a type; spec is the block it stands for, if it is one.
func (s *schemer) of(t reflect.Type, spec *blockSpec) *object {
	if t.Kind() == reflect.Pointer {
		return s.of(t.Elem(), spec)
	}
	if name := scalarType(t); name != "" {
		return &object{members: []member{{"type", name}}}
	}
	if t.Kind() == reflect.Slice {
		return &object{members: []member{{"type", "array"}, {"items", s.of(t.Elem(), spec)}}}
	}
	properties, required := &object{}, []string{}
	s.fields(t, spec, properties, &required)
	properties.members = append(properties.members, member{"origins", &object{members: []member{
		{"type", "object"}, {"description", "where keywords were given, as FILE:LINE; what is not here is a default"},
		{"additionalProperties", &object{members: []member{{"type", "string"}}}},
	}}})
	return &object{members: []member{{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}}
}

// scalarType is the JSON type of a value that one word says.
func scalarType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "number"
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix](),
		reflect.TypeFor[lvs.Protocol](), reflect.TypeFor[lvs.ForwardMethod](), reflect.TypeFor[lvs.ServiceKey]():
		return "string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	}
	return ""
}

func hasGiven(t reflect.Type) bool {
	field, ok := t.FieldByName("given")
	return ok && field.Type == reflect.TypeFor[given]()
}

// fields adds a struct's fields; those of embedded ones are its own.
func (s *schemer) fields(t reflect.Type, spec *blockSpec, properties *object, required *[]string) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Type == reflect.TypeFor[given]():
			continue
		case field.Anonymous:
			s.fields(field.Type, spec, properties, required)
			continue
		case !field.IsExported() || name == "-":
			continue
		}
		if name == "" {
			name = snake(field.Name)
		}
		e := s.entry(name, spec)
		var inner *blockSpec
		if e != nil {
			inner = e.inner
		}
		property := s.of(field.Type, inner)
		if e != nil && e.help != "" {
			property.members = append(property.members, member{"description", e.help})
		}
		properties.members = append(properties.members, member{name, property})
		if field.Type.Kind() != reflect.Pointer {
			*required = append(*required, name)
		}
	}
}

// entry is the keyword that a field is of: of its block, or of the whole file.
func (s *schemer) entry(name string, spec *blockSpec) *entry {
	if spec != nil {
		return spec.lookup(name)
	}
	return nil
}
