package abi

import (
	"reflect"

	"github.com/cilium/ebpf"
)

// ByName returns the maps by the names that the object has for them (BpfMapServers
// and so on).
func (m *BpfMaps) ByName() map[string]*ebpf.Map {
	all, fields := map[string]*ebpf.Map{}, reflect.ValueOf(m).Elem()
	for i := range fields.NumField() {
		all[fields.Type().Field(i).Tag.Get("ebpf")] = fields.Field(i).Interface().(*ebpf.Map)
	}
	return all
}
