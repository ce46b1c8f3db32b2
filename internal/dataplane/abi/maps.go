package abi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/cilium/ebpf"
)

// MapAddrFilter is the name of the filter of addresses among the maps.
const MapAddrFilter = "addr_filter"

// variables begins the names of the sections of the object that hold variables.
const variables = ".data."

// Maps are the maps of the object: its tables, and the filter of addresses, a variable.
type Maps struct {
	BpfMaps
	AddrFilter *ebpf.Map `ebpf:".data.addr_filter"`
}

// Constants is the map of the variables that are fixed when a program is loaded.
const Constants = ".rodata"

// Load reads the embedded object. Its filter of addresses is pinned by its name as the
// tables are, and what is in it is not overwritten when it is opened.
func Load() (*ebpf.CollectionSpec, error) {
	spec, err := LoadBpf()
	if err != nil {
		return nil, err
	}
	filter := spec.Maps[variables+MapAddrFilter]
	filter.Name, filter.Pinning, filter.Contents = MapAddrFilter, ebpf.PinByName, nil
	delete(spec.Variables, BpfVarNotOfAddr)
	if err := spec.Variables[BpfVarObjectSum].Set(sha256.Sum256(_BpfBytes)); err != nil {
		return nil, fmt.Errorf("set the object's own checksum: %w", err)
	}
	return spec, nil
}

// Close closes all maps.
func (m *Maps) Close() error { return errors.Join(m.BpfMaps.Close(), m.AddrFilter.Close()) }

// InObject returns the maps by the names that the object has for them.
func (m *Maps) InObject() map[string]*ebpf.Map {
	all, fields := map[string]*ebpf.Map{variables + MapAddrFilter: m.AddrFilter}, reflect.ValueOf(m.BpfMaps)
	for i := range fields.NumField() {
		all[fields.Type().Field(i).Tag.Get("ebpf")] = fields.Field(i).Interface().(*ebpf.Map)
	}
	return all
}

// ByName returns the maps by the names that they are pinned by (BpfMapServers and so on).
func (m *Maps) ByName() map[string]*ebpf.Map {
	all := map[string]*ebpf.Map{}
	for name, table := range m.InObject() {
		all[strings.TrimPrefix(name, variables)] = table
	}
	return all
}
