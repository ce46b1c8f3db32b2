// Package diff has the words in which a reload says what is different.
package diff

import (
	"strings"

	"weir/conf"
)

// Kind is how something differs.
type Kind = conf.ChangeKind

const (
	Added   = conf.Added
	Removed = conf.Removed
	Changed = conf.Changed
)

// Setting is one value that changes.
type Setting struct {
	// Name is the keyword, behind the blocks around it: "TCP_CHECK retry".
	Name string `json:"name"`
	// From is empty for what is new, To for what leaves.
	From string `json:"from"`
	To   string `json:"to"`
	// Trait says what the reload does with it: see conf.Trait.
	Trait conf.Trait `json:"reload"`
}

// Settings are the changes of a block's keywords. A block within it that comes or goes is
// the value of its keyword, as in "device eth1"; a check is one of "check".
func Settings(changes []conf.Change) (all []Setting) {
	for _, c := range changes {
		s := Setting{c.Keyword, c.From, c.To, c.Trait}
		around := c.Block
		if c.Kind != Changed {
			last := len(around) - 1
			keyword, value, named := strings.Cut(around[last], " ")
			if !named {
				keyword, value = "check", keyword
			}
			around, s.Name = around[:last], keyword
			if c.Kind == Added {
				s.To = value
			} else {
				s.From = value
			}
		}
		s.Name = strings.Join(append(around[:len(around):len(around)], s.Name), " ")
		all = append(all, s)
	}
	return all
}
