package trackfile

import (
	"math"
	"strconv"
	"strings"
)

// Bounds are between what values a file's number counts.
type Bounds struct {
	// Least is a failure, as is what is less.
	Least int64
	// Most is the most that is added.
	Most int64
}

// What a number can make of a VRRP priority, and of a real server's weight (keepalived,
// track_file.c).
var (
	Priorities = Bounds{-254, 253}
	Weights    = Bounds{math.MinInt32, math.MaxInt32}
)

// Weigh is what a file's number makes of a priority or of a real server's weight. With a
// weight of 0 a number other than 0 is a failure; with reverse 0 is one. With another
// weight the product of both is added, with reverse its negative; one that reaches
// Bounds.Least is a failure.
func (b Bounds) Weigh(number int64, weight int, reverse bool) (add int, failure bool) {
	if weight == 0 {
		return 0, (number != 0) != reverse
	}
	product := number * int64(weight) // of 2³¹ times 2³¹ at most
	if reverse {
		product = -product
	}
	if product <= b.Least {
		return 0, true
	}
	return int(min(product, b.Most)), false
}

// mostRead is how many bytes of a file are looked at (keepalived, process_track_file).
const mostRead = 127

// parse reads a number as C's strtol does with base 0: in decimal, in octal behind 0, in
// hexadecimal behind 0x, and up to the first character that does not belong to it. Where
// there is none it is 0. ok is false for a number outside of -2³¹ to 2³¹.
func parse(text string) (number int64, ok bool) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	sign, digits := "", text
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, digits = text[:1], text[1:]
	}
	base := 10
	switch {
	case len(digits) > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') && lenDigits(digits[2:], 16) > 0:
		base, digits = 16, digits[2:]
	case digits != "" && digits[0] == '0':
		base = 8
	}
	digits = digits[:lenDigits(digits, base)]
	if digits == "" {
		return 0, true
	}
	number, err := strconv.ParseInt(sign+digits, base, 64)
	return number, err == nil && number >= math.MinInt32 && number <= math.MaxInt32+1
}

// lenDigits counts the digits that a text begins with.
func lenDigits(text string, base int) int {
	for i, c := range []byte(text) {
		if _, err := strconv.ParseUint(string(c), base, 8); err != nil {
			return i
		}
	}
	return len(text)
}
