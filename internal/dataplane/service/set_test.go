package service

import (
	"reflect"
	"testing"

	"weir/lvs"
)

// A service that differs in any field but its real servers is another one.
func TestSameHead(t *testing.T) {
	plain := lvs.VirtualServer{}
	if !sameHead(plain, lvs.VirtualServer{RealServers: make([]lvs.RealServer, 1)}) {
		t.Error("real servers count")
	}
	for field := range reflect.TypeFor[lvs.VirtualServer]().Fields() {
		if field.Name == "RealServers" {
			continue
		}
		other := lvs.VirtualServer{}
		alter(t, reflect.ValueOf(&other).Elem().FieldByIndex(field.Index))
		if sameHead(plain, other) {
			t.Errorf("a service with another %s counts as the same", field.Name)
		}
	}
}

// alter gives a value, or the first field of a struct that can be set, another value.
func alter(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("another")
	case reflect.Struct:
		alter(t, v.Field(0))
	default:
		if v.CanInt() {
			v.SetInt(1)
			return
		}
		if v.CanUint() {
			v.SetUint(1)
			return
		}
		t.Fatalf("%s: no other value is known", v.Type())
	}
}
