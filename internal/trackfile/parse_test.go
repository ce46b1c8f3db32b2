package trackfile

import (
	"math"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"": 0, "0": 0, "7": 7, " \n\t-7\n": -7, "+7": 7, "010": 8, "08": 0, "0x1F": 31, "-0XaZ": -10, "0x": 0, "0xg": 0,
		"7 and more": 7, "up": 0, "-": 0, "- 7": 0, "--7": 0, "1_000": 1, "2147483648": math.MaxInt32 + 1, "-2147483648": math.MinInt32,
	} {
		if got, ok := parse(text); got != want || !ok {
			t.Errorf("%q is %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"2147483649", "-2147483649", "99999999999999999999", "0xffffffffffffffffffff"} {
		if got, ok := parse(text); ok {
			t.Errorf("%q is %d, want it refused", text, got)
		}
	}
}
