package conf

import "fmt"

// Trait says what a reload does with a keyword whose value has changed.
type Trait uint8

const (
	// InPlace is a keyword whose new value holds from the reload on.
	InPlace Trait = iota
	// Anew is one for which its service, instance or check has to begin anew.
	Anew
	// AtStart is one that counts only when its block begins: a reload leaves it.
	AtStart
	// Restart is one whose new value takes a restart of weir.
	Restart
)

// String is a trait in words.
func (t Trait) String() string {
	return [...]string{"in place", "anew", "at its start", "takes a restart"}[t]
}

// MarshalText is a trait in words, for JSON.
func (t Trait) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a trait in words.
func (t *Trait) UnmarshalText(words []byte) error {
	for one := InPlace; one <= Restart; one++ {
		if one.String() == string(words) {
			*t = one
			return nil
		}
	}
	return fmt.Errorf("%q is no way to reload", words)
}

// anew marks keywords for which their block has to begin anew, but those that say
// something else of a reload.
func anew(entries ...*entry) []*entry {
	for _, e := range entries {
		if e.reload == InPlace {
			e.reload = Anew
		}
	}
	return entries
}

// reloads says what a reload does with a keyword.
func reloads(as Trait) option { return func(e *entry) { e.reload = as } }

// example gives a keyword two values: the reference page shows the first, and tests
// reload from that to the second.
func example(was, now string) option { return func(e *entry) { e.example = [2]string{was, now} } }

// secret marks a keyword whose values nobody is shown, but a value in their place.
func secret(instead string) option {
	return func(e *entry) { e.secret, e.instead = true, instead }
}
