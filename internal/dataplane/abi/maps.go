package abi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/cilium/ebpf"
)

// variables begins the names of the sections of the object that hold variables.
const variables = ".data."

// Maps are the maps of the object.
type Maps struct {
	BpfMaps
	Variables
}

// Variables are the tables of one value each (VARIABLE of bpf/base/maps.h), whose names are those
// of the variables: BpfVarClocks and so on.
type Variables struct {
	AddrFilter     *ebpf.Map `ebpf:".data.addr_filter"`
	Clocks         *ebpf.Map `ebpf:".data.clocks"`
	ConnLimits     *ebpf.Map `ebpf:".data.conn_limits"`
	SlotSizes      *ebpf.Map `ebpf:".data.slot_sizes"`
	DirectorFilter *ebpf.Map `ebpf:".data.director_filter"`
	FarEnds        *ebpf.Map `ebpf:".data.far_ends"`
	FlowKnobs      *ebpf.Map `ebpf:".data.flow_knobs"`
	HeldTurns      *ebpf.Map `ebpf:".data.held_turns"`
	ServiceCounts  *ebpf.Map `ebpf:".data.service_counts"`
	ServiceSlots   *ebpf.Map `ebpf:".data.service_slots"`
	TemplateTables *ebpf.Map `ebpf:".data.template_tables"`
}

// Constants is the map of the variables that are fixed when a program is loaded.
const Constants = ".rodata"

// OlderConnTables is the name by which builds before have pinned, and the kernel knows, their tables
// of connections (BpfMapOlderTables).
const OlderConnTables = "conn_tables"

// Load reads the embedded object. Its tables of one value are pinned by their names as the
// others are, and what is in them is not overwritten when they are opened.
func Load() (*ebpf.CollectionSpec, error) {
	spec, err := LoadBpf()
	if err != nil {
		return nil, err
	}
	for section, table := range spec.Maps {
		if name, ok := strings.CutPrefix(section, variables); ok {
			table.Name, table.Pinning, table.Contents = name, ebpf.PinByName, nil
			delete(spec.Variables, name)
		}
	}
	if err := spec.Variables[BpfVarObjectSum].Set(sha256.Sum256(_BpfBytes)); err != nil {
		return nil, fmt.Errorf("set the object's own checksum: %w", err)
	}
	return spec, nil
}

// Close closes all maps.
func (m *Maps) Close() (err error) {
	for _, table := range m.InObject() {
		err = errors.Join(err, table.Close())
	}
	return err
}

// InObject returns the maps by the names that the object has for them.
func (m *Maps) InObject() map[string]*ebpf.Map {
	all := map[string]*ebpf.Map{}
	for _, fields := range []reflect.Value{reflect.ValueOf(m.BpfMaps), reflect.ValueOf(m.Variables)} {
		for i := range fields.NumField() {
			all[fields.Type().Field(i).Tag.Get("ebpf")] = fields.Field(i).Interface().(*ebpf.Map)
		}
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
