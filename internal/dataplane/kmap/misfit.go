package kmap

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
)

// Misfits says in words which tables that are pinned in a folder are not as this object
// has them.
func Misfits(dir string, spec *ebpf.CollectionSpec) (list []string) {
	for _, want := range spec.Maps {
		if want.Pinning != ebpf.PinByName {
			continue
		}
		has, err := ebpf.LoadPinnedMap(filepath.Join(dir, want.Name), nil)
		if err != nil {
			continue // there is none
		}
		if what := misfit(has, want); what != "" {
			list = append(list, want.Name+": "+what)
		}
		has.Close()
	}
	slices.Sort(list)
	return list
}

func misfit(has *ebpf.Map, want *ebpf.MapSpec) string {
	differs := func(what string, has, want any) string { return fmt.Sprintf("%s %v, now %v", what, has, want) }
	switch {
	case has.Type() != want.Type:
		return differs("type", has.Type(), want.Type)
	case has.KeySize() != want.KeySize:
		return differs("bytes a key", has.KeySize(), want.KeySize)
	case has.ValueSize() != want.ValueSize && want.ValueSize != 0:
		return differs("bytes a value", has.ValueSize(), want.ValueSize)
	case has.MaxEntries() != want.MaxEntries && want.MaxEntries != 0:
		return differs("entries", has.MaxEntries(), want.MaxEntries)
	case has.Flags() != want.Flags:
		return differs("flags", has.Flags(), want.Flags)
	}
	return ""
}
