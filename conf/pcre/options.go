package pcre

import (
	"fmt"
	"slices"
	"strings"
)

// flags are how a part of a pattern is read.
type flags struct {
	caseless, dotAll, multiline, extended, ungreedy, noCapture bool
	// The others hold for the whole pattern.
	utf, ucp, dollarEnd, firstLine, unsetMatches, altCircumflex, emptyClass, altBsux bool
	never                                                                            []string
}

// options are PCRE2's by keepalived's names. Those without a function change how PCRE2
// works, and not what matches.
var options = map[string]func(*flags){
	"allow_empty_class":   func(f *flags) { f.emptyClass = true },
	"alt_bsux":            func(f *flags) { f.altBsux = true },
	"alt_circumflex":      func(f *flags) { f.altCircumflex = true },
	"alt_verbnames":       nil,
	"auto_callout":        nil,
	"caseless":            func(f *flags) { f.caseless = true },
	"dollar_endonly":      func(f *flags) { f.dollarEnd = true },
	"dotall":              func(f *flags) { f.dotAll = true },
	"dupnames":            nil, // names that stand twice are always allowed
	"extended":            func(f *flags) { f.extended = true },
	"firstline":           func(f *flags) { f.firstLine = true },
	"match_unset_backref": func(f *flags) { f.unsetMatches = true },
	"multiline":           func(f *flags) { f.multiline = true },
	"never_backslash_c":   func(f *flags) { f.never = append(f.never, `\C`) },
	"never_ucp":           func(f *flags) { f.never = append(f.never, "(*UCP)") },
	"never_utf":           func(f *flags) { f.never = append(f.never, "(*UTF)") },
	"no_auto_capture":     func(f *flags) { f.noCapture = true },
	"no_auto_possess":     nil,
	"no_dotstar_anchor":   nil,
	"no_start_optimize":   nil,
	"ucp":                 func(f *flags) { f.ucp = true },
	"ungreedy":            func(f *flags) { f.ungreedy = true },
	"use_offset_limit":    nil,
	"utf":                 func(f *flags) { f.utf = true },
}

// Options are the names of all options, sorted.
func Options() (names []string) {
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// set takes the options, and those that a pattern begins with: (*UTF), (*UCP).
func (t *translator) set(names []string) error {
	for _, name := range names {
		set, known := options[name]
		if !known {
			return fmt.Errorf("%q is no option of PCRE2", name)
		}
		if set != nil {
			set(&t.flags)
		}
	}
	for strings.HasPrefix(t.in[t.at:], "(*") {
		word, _, closed := strings.Cut(t.in[t.at:], ")")
		switch word += ")"; {
		case !closed:
			return t.errorf("( is not closed")
		case slices.Contains(t.flags.never, word):
			return t.errorf("%s is switched off", word)
		case word == "(*UTF)":
			t.flags.utf = true
		case word == "(*UCP)":
			t.flags.ucp = true
		case word == "(*NO_AUTO_POSSESS)" || word == "(*NO_START_OPT)" || word == "(*NO_JIT)" || word == "(*NO_DOTSTAR_ANCHOR)" || word == "(*LF)":
		default:
			return t.errorf("%s is not known to weir", word)
		}
		t.at += len(word)
	}
	t.start = t.flags
	return nil
}
