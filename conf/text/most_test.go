package text

import (
	"strings"
	"testing"
)

// TestMostTokens holds the words of a file to its length and to the machine's memory.
func TestMostTokens(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		size   int
		memory uint64
		want   int
	}{
		{0, 16 * gib, leastTokens},
		{leastSize, 16 * gib, leastTokens},
		{leastSize + 2_000_000, 16 * gib, leastTokens + 1_000_000},
		{MaxFile, 16 * gib, 16 * gib / 1024},
		{MaxFile, 64 << 20, leastTokens},
		{MaxFile, 0, leastTokens},
	} {
		if got := mostTokens(tt.size, tt.memory); got != tt.want {
			t.Errorf("%d bytes, %d of memory: got %d, want %d", tt.size, tt.memory, got, tt.want)
		}
	}
}

// TestTooManyWords stops at a file that is nothing but short words.
func TestTooManyWords(t *testing.T) {
	src := &Source{Name: "k.conf", Text: strings.Repeat("a ", leastTokens+1)}
	diags := &Collector{}
	if tokens := lex(src, diags, nil); len(tokens) > leastTokens+1 || !diags.Full() {
		t.Errorf("%d tokens, stopped: %t", len(tokens), diags.Full())
	}
}
