package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/conf/text"
)

// TestRealistic sums up what weir says of 133 files that look as people write them: how
// much, and of which kinds. A change of the sum is one that every user sees.
func TestRealistic(t *testing.T) {
	const name = "testdata/realistic.txtar"
	archive := readArchive(t, name)
	var lines [3]int
	var total [3]int
	codes, clean, shown, files := map[string]int{}, 0, 0, 0
	messages := map[string]int{}
	for _, f := range archive.files {
		if !strings.HasSuffix(f.name, ".conf") {
			continue
		}
		files++
		_, diags := parseMemory(memory{f.name: f.text}, f.name)
		for _, d := range diags.All() {
			total[d.Severity]++
			if d.Severity == text.Error {
				messages[d.Message]++
			} else {
				codes[d.Code]++
			}
		}
		if len(diags.All()) == 0 {
			clean++
		}
		for line := range strings.SplitSeq(rendered(t, diags, false), "\n") {
			for severity, word := range []string{"error:", "warning:", "note:"} {
				if strings.HasPrefix(line, f.name) && strings.Contains(line, " "+word+" ") {
					lines[severity]++
				}
			}
			shown++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d files, %d without a word\n", files, clean)
	fmt.Fprintf(&b, "%d errors, %d warnings, %d notes\n", total[0], total[1], total[2])
	fmt.Fprintf(&b, "shown as %d errors, %d warnings, %d notes in %d lines\n", lines[0], lines[1], lines[2], shown)
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		fmt.Fprintf(&b, "%5d %s\n", codes[code], code)
	}
	want := archive.file("want")
	if *update {
		want.text = b.String()
		archive.write(t, name)
	}
	if diff := cmp.Diff(want.text, b.String()); diff != "" {
		t.Errorf("what is said of the files (-want +got); go test ./conf -run Realistic -update accepts it:\n%s", diff)
	}
	if files != 133 {
		t.Errorf("%d files", files)
	}
	for _, m := range slices.Sorted(maps.Keys(messages)) {
		t.Logf("%5d error: %s", messages[m], m)
	}
}
