package text

// Nearest is the word among the known ones that is fewest edits away, or ""
// when none is near enough to have been meant: a third of the letters, and
// one in short words.
func Nearest(word string, known []string) string {
	limit := max(1, len(word)/3)
	best, found := limit+1, ""
	for _, k := range known {
		if d := len(k) - len(word); d >= best || -d >= best || len(k) <= limit || len(k) > maxKeyword {
			continue
		}
		if d := Distance(word, k, best); d < best {
			best, found = d, k
		}
	}
	return found
}

// maxKeyword is more than the longest keyword has letters.
const maxKeyword = 63

// Distance counts the edits between two words: a letter more, less or changed
// (its case is no edit), or two neighbours swapped (optimal string alignment).
// It gives up beyond limit.
func Distance(a, b string, limit int) int {
	var rows [3][maxKeyword + 1]int
	before, previous, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit {
			return least
		}
		before, previous, row = previous, row, before
	}
	return previous[len(b)]
}

// lower ignores the case of a letter, which is no distance.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
