package conf

import (
	"strings"
	"testing"

	"weir/conf/text"
)

// TestTooManyErrors wants it said where reading stops.
func TestTooManyErrors(t *testing.T) {
	for name, errors := range map[string]int{"just beyond": text.MaxDiagnostics + 1, "far beyond": 3 * text.MaxDiagnostics} {
		t.Run(name, func(t *testing.T) {
			_, diags := parseMemory(memory{"main": "vrrp_instance V {\n" + strings.Repeat("quux 1\n", errors) + "}\n"}, "main")
			shown := rendered(t, diags, false)
			if diags.Errors() != text.MaxDiagnostics+1 || !strings.Contains(shown, "1000 errors: the rest is not looked at") {
				t.Errorf("%d errors; the last lines are %s", diags.Errors(), shown[len(shown)-300:])
			}
		})
	}
}
