package main

import "testing"

func TestDefine(t *testing.T) {
	source := []byte("#define ONE 1 /* of two */\n#define HEX 0x10U\n#define LONG 15ULL\n#define SUM (ONE + 1)\n")
	for name, want := range map[string]uint64{"ONE": 1, "HEX": 16, "LONG": 15} {
		if got, err := define(source, name); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"SUM", "ON", "NONE"} {
		if got, err := define(source, name); err == nil {
			t.Errorf("%s is %d, want an error", name, got)
		}
	}
	if got := goName("WORD_STATE_SHIFT"); got != "WordStateShift" {
		t.Errorf("the name is %s", got)
	}
}
