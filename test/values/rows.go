package values

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// valueRow is a value that a dump of keepalived and weir's JSON both have.
type valueRow struct {
	// label is keepalived's, member weir's.
	label, member string
	// theirs makes keepalived's text what weir's is; ours makes text of a value of weir's.
	theirs func(d *dumped, label string) (string, bool)
	ours   func(v any) string
	// skipEmpty leaves out what weir has no value for.
	skipEmpty bool
}

func (r valueRow) name() string {
	if r.member == "." {
		return r.label
	}
	return r.member
}

// whereShown leaves a list out that the dump does not have: without a mail relay it has no
// mail addresses.
func whereShown(row valueRow) valueRow {
	read := row.theirs
	row.theirs = func(d *dumped, label string) (string, bool) {
		text, _ := read(d, label)
		return text, d.lists[label] != nil
	}
	return row
}

// unlessEmpty leaves out what weir has no value for: what stands for it is the machine's.
func unlessEmpty(row valueRow) valueRow {
	row.skipEmpty = true
	return row
}

// unless leaves one value of keepalived's out.
func (r valueRow) unless(nothing string) valueRow {
	read := r.theirs
	r.theirs = func(d *dumped, label string) (string, bool) {
		v, ok := read(d, label)
		return v, ok && v != nothing
	}
	return r
}

func (r valueRow) both(d *dumped, v map[string]any) (theirs, ours string, compared bool) {
	theirs, compared = r.theirs(d, r.label)
	if !compared {
		return "", "", false
	}
	value, ok := any(v), true
	for name := range strings.SplitSeq(r.member, ".") {
		if r.member == "." { // the whole block
			break
		}
		var m map[string]any
		if m, ok = value.(map[string]any); !ok {
			break
		}
		value = m[name]
	}
	ours = r.ours(value)
	return theirs, ours, !r.skipEmpty || ours != ""
}

// plainText is a value as JSON has it.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// dumpedValue is keepalived's value where the dump has one.
func dumpedValue(d *dumped, label string) (string, bool) {
	v, ok := d.values[label]
	return v, ok
}

func number(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		v, ok := d.values[label]
		v, _, _ = strings.Cut(v, " ")
		f, err := strconv.ParseFloat(strings.TrimSuffix(v, "s"), 64)
		return plainText(f), ok && err == nil && f != 4294967295
	}, ours: plainText}
}

func word(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: dumpedValue, ours: plainText}
}

// yes is a flag by the text that means yes.
func yes(label, member, on string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		v, ok := d.values[label]
		return strconv.FormatBool(v == on), ok
	}, ours: plainText}
}

// bare is a flag by a line that is there or not.
func bare(label, member string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		_, ok := d.values[label]
		return strconv.FormatBool(ok), true
	}, ours: plainText}
}

// absent is a value whose line is missing where it is nothing.
func absent(row valueRow, nothing string) valueRow {
	read := row.theirs
	row.theirs = func(d *dumped, label string) (string, bool) {
		if _, ok := d.values[label]; !ok {
			return nothing, true
		}
		return read(d, label)
	}
	return row
}

// listed is a list, in any order: keepalived's is turned into weir's by line.
func listed(label, member string, theirs func(line string) string, ours func(v map[string]any) string) valueRow {
	return valueRow{label: label, member: member, theirs: func(d *dumped, label string) (string, bool) {
		var all []string
		for _, line := range d.lists[label] {
			all = append(all, theirs(line))
		}
		sort.Strings(all)
		return strings.Join(all, "; "), true
	}, ours: func(v any) string {
		var all []string
		list, _ := v.([]any)
		for _, one := range list {
			if m, ok := one.(map[string]any); ok {
				all = append(all, ours(m))
			} else {
				all = append(all, plainText(one))
			}
		}
		sort.Strings(all)
		return strings.Join(all, "; ")
	}}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
