package conf

import (
	"reflect"
	"strings"
)

// Programs are the paths of all programs that a configuration has run.
func (c *Config) Programs() (paths []string) {
	script := reflect.TypeFor[Script]()
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				visit(v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				visit(v.Index(i))
			}
		case reflect.Struct:
			if v.Type() == script {
				if words := strings.Fields(v.FieldByName("Command").String()); len(words) > 0 {
					paths = append(paths, words[0])
				}
				return
			}
			for i := range v.NumField() {
				if field := v.Type().Field(i); (field.IsExported() || field.Anonymous) && field.Tag.Get("json") != "-" {
					visit(v.Field(i))
				}
			}
		}
	}
	visit(reflect.ValueOf(c))
	return paths
}
