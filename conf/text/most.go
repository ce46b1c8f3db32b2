package text

import (
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// leastTokens are the words, braces and lines that any file may have: those of a
	// configuration of 10 MB, and of one of leastSize bytes that is nothing but short words.
	leastTokens, leastSize = 1_200_000, 10 << 20
	// bytesPerToken is more than the memory that a word takes while a file is read.
	bytesPerToken = 256
)

// memory is how many bytes this machine has.
var memory = sync.OnceValue(func() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0 // as much as the least takes
	}
	return uint64(info.Totalram) * uint64(info.Unit)
})

// MostTokens bounds the words, braces and lines of a file of so many bytes: a longer file may
// have one more for each two bytes, as long as reading them takes no more than a quarter of
// the machine's memory.
func MostTokens(size int) int { return mostTokens(size, memory()) }

// MostInParts bounds the words of parts of so many bytes in all, of which few are held at a time.
func MostInParts(size int) int { return max(leastTokens, size/5) }

func mostTokens(size int, memory uint64) int {
	more := max(0, size-leastSize) / 2
	return max(leastTokens, min(leastTokens+more, int(memory/4/bytesPerToken)))
}
