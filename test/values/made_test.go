package values

import (
	"math/rand/v2"
	"strings"
	"testing"

	"weir/conf"
	"weir/conf/text"
)

// weir takes nearly all of the files that are made: one that it refuses compares nothing.
func TestMadeAreTaken(t *testing.T) {
	for name, made := range map[string]func(*rand.Rand) string{"VRRP": MakeVRRP, "LVS": MakeLVS} {
		rng := rand.New(rand.NewPCG(1, 2))
		refused := 0
		for range 300 {
			file := made(rng)
			cfg, diags := conf.Options{ID: "node01"}.Parse("made.conf", []byte(file))
			if cfg != nil {
				continue
			}
			var shown strings.Builder
			diags.Keep(func(d text.Diagnostic) bool { return d.Severity == text.Error })
			if err := diags.Render(&shown, false); err != nil {
				t.Fatal(err)
			}
			if refused++; refused < 10 {
				t.Logf("%s: %s\nof\n%s", name, shown.String(), file)
			}
		}
		if refused > 30 {
			t.Errorf("%s: %d of 300 files are refused", name, refused)
		}
	}
}
