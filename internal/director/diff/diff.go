// Package diff has the words in which a reload says what is different.
package diff

import "fmt"

// Kind is how something differs.
type Kind string

const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Setting is one value that changes.
type Setting struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Settings gathers what differs of two values, name by name.
type Settings []Setting

// Compare adds a setting unless both values are written alike.
func (s *Settings) Compare(name string, from, to any) {
	if f, t := fmt.Sprint(from), fmt.Sprint(to); f != t {
		*s = append(*s, Setting{name, f, t})
	}
}

// OnOff is a flag as people write it.
func OnOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
