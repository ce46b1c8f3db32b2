package conf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/conf/text"
)

// kind is a sort of value: how its words are read, and what to say was
// expected where one cannot be.
type kind[V any] struct {
	expects string
	parse   func(word string) (V, *complaint)
}

// complaint says what is wrong with a word. An empty hint stands for what the
// kind expects.
type complaint struct {
	what, hint string
	// pending is a value that is right, but that weir cannot do yet.
	pending bool
	// ignored is a part of the value that does not count: the rest is right.
	ignored bool
}

// fits tells whether a value can be used.
func (c *complaint) fits() bool { return c == nil || c.pending || c.ignored }

func complain(format string, args ...any) *complaint {
	return &complaint{what: fmt.Sprintf(format, args...)}
}

// number is a whole number from least to most.
func number[V ~int | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32](least, most V) kind[V] {
	expects := fmt.Sprintf("a whole number from %d to %d", least, most)
	return kind[V]{expects, func(word string) (V, *complaint) {
		n, err := strconv.ParseInt(word, 10, 64)
		switch {
		case err != nil && !isDigits(strings.TrimPrefix(word, "-")):
			return 0, complain("%s is not a whole number", text.Quote(word))
		case err != nil || n < int64(least) || n > int64(most):
			return 0, complain("%s is out of range", text.Shorten(word))
		}
		return V(n), nil
	}}
}

func isDigits(word string) bool {
	return word != "" && strings.Trim(word, "0123456789") == ""
}

// maxWhole bounds the times of connections: 31 days, the most that IPVS takes.
const maxWhole = 31 * 24 * time.Hour

// maxTimer bounds the times of timers.
const maxTimer = (1<<32 - 1) * time.Second

// maxMicro is what keepalived's 32 bits of microseconds hold, and maxMicroWhole in whole
// seconds.
const (
	maxMicro      = (1<<32 - 1) * time.Microsecond
	maxMicroWhole = maxMicro / time.Second * time.Second
)

// seconds is a time in decimal seconds with up to six places, as keepalived's
// timers have.
func seconds(least, most time.Duration) kind[time.Duration] {
	expects := fmt.Sprintf("seconds from %s to %s, such as 6 or 0.5", text.Seconds(least), text.Seconds(most))
	return kind[time.Duration]{expects, func(word string) (time.Duration, *complaint) {
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(word, "+"), ".")
		if !isDigits(whole + fraction) {
			return 0, complain("%s is not a number of seconds", text.Quote(word))
		}
		if len(fraction) > 6 {
			return 0, complain("%s is finer than a microsecond", text.Shorten(word))
		}
		n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", 6-len(fraction)), 10, 64)
		if err != nil || n > math.MaxInt64/int64(time.Microsecond) {
			return 0, complain("%s is out of range", text.Shorten(word))
		}
		d := time.Duration(n) * time.Microsecond
		if d < least || d > most {
			return 0, complain("%s is out of range", text.Shorten(word))
		}
		return d, nil
	}}
}

// wholeSeconds is a time in seconds without a fraction.
func wholeSeconds(least, most time.Duration) kind[time.Duration] {
	k := number(int(least/time.Second), int(most/time.Second))
	return kind[time.Duration]{strings.Replace(k.expects, "a whole number from", "whole seconds from", 1), func(word string) (time.Duration, *complaint) {
		n, c := k.parse(word)
		return time.Duration(n) * time.Second, c
	}}
}

// nonEmpty is any word that is not empty.
func nonEmpty(expects string) kind[string] {
	return kind[string]{expects, func(word string) (string, *complaint) {
		if word == "" {
			return "", complain("the value is empty")
		}
		return word, nil
	}}
}

// boolean is keepalived's yes or no.
func boolean() kind[bool] {
	const expects = "one of on off true false yes no"
	return kind[bool]{expects, func(word string) (bool, *complaint) {
		switch word {
		case "on", "true", "yes":
			return true, nil
		case "off", "false", "no":
			return false, nil
		}
		c := complain("%s is neither yes nor no", text.Quote(word))
		switch lower := strings.ToLower(word); lower {
		case "on", "true", "yes", "off", "false", "no":
			c.hint = fmt.Sprintf("write %s in small letters", lower)
		case "1", "enable", "enabled":
			c.hint = "write on"
		case "0", "disable", "disabled":
			c.hint = "write off"
		}
		return false, c
	}}
}

// choice is one of some words. noun names what is chosen.
type choice[V any] struct {
	noun  string
	known []named[V]
	// pending are the words among them that weir cannot do yet.
	pending []string
	// anyCase is for the few words that keepalived takes in any case.
	anyCase bool
}

type named[V any] struct {
	word string
	v    V
}

func oneOf[V any](c choice[V]) kind[V] {
	var all []string
	for _, o := range c.known {
		all = append(all, o.word)
	}
	return kind[V]{"one of " + strings.Join(all, " "), func(word string) (V, *complaint) {
		for _, o := range c.known {
			if o.word == word || c.anyCase && strings.EqualFold(o.word, word) {
				if slices.Contains(c.pending, o.word) {
					return o.v, &complaint{what: o.word, pending: true}
				}
				return o.v, nil
			}
		}
		var none V
		unknown := complain("unknown %s %s", c.noun, text.Quote(word))
		if i := slices.IndexFunc(all, func(known string) bool { return strings.EqualFold(known, word) }); i >= 0 {
			unknown.hint = fmt.Sprintf("did you mean %q?", all[i])
		} else if near := meantValue(c.noun, word); near != "" {
			unknown.hint = fmt.Sprintf("did you mean %q?", near)
		} else if near := text.Nearest(word, all); len(word) > 2 && near != "" {
			unknown.hint = fmt.Sprintf("did you mean %q?", near)
		}
		return none, unknown
	}}
}

// oneWord is one of some words that stand for themselves.
func oneWord[V ~string](noun string, all ...V) kind[V] {
	c := choice[V]{noun: noun}
	for _, w := range all {
		c.known = append(c.known, named[V]{string(w), w})
	}
	return oneOf(c)
}

// port is a port number.
func port() kind[uint16] {
	k := number[uint16](1, math.MaxUint16)
	k.expects = "a port from 1 to 65535"
	return k
}

// maxInterfaceName is the kernel's IFNAMSIZ less the closing zero.
const maxInterfaceName = 15

// device is the name of a network interface.
func device() kind[string] {
	return kind[string]{"the name of a network interface", func(word string) (string, *complaint) {
		switch {
		case word == "" || word == "." || word == ".." || strings.ContainsAny(word, "/: \t\n"):
			return "", complain("%s cannot be an interface's name", text.Quote(word))
		case len(word) > maxInterfaceName:
			return "", &complaint{
				what: fmt.Sprintf("%s is too long for an interface's name", text.Quote(word)),
				hint: fmt.Sprintf("expected at most %d characters", maxInterfaceName),
			}
		}
		return word, nil
	}}
}
