package conf

import "testing"

// TestIncludeLevels includes what is not there.
func TestIncludeLevels(t *testing.T) {
	files := memory{"a.conf": "", "b.conf": ""}
	tests := []struct {
		in    string
		fails bool
	}{
		{"include x.conf", false}, {"includer x.conf", false}, {"includem x.conf", true}, {"includea x.conf", true},
		{"includem *.txt", false}, {"includew *.txt", true}, {"includea *.txt", true}, {"includea [ab].conf", false},
		{"includem {a,x}.conf", false}, {"includeb {a,x}.conf", true}, {"includeb {a,b}.conf", false},
		{"global_defs {\ninclude_check\n}\ninclude x.conf", true},
		{"global_defs {\ninclude_check +match -wildcard_match\n}\ninclude x.conf", true},
		{"global_defs {\ninclude_check readable\n}\ninclude x.conf", false},
	}
	for _, tt := range tests {
		files["main.conf"] = tt.in + "\n"
		_, diags := parseMemory(files, "main.conf")
		if diags.HasErrors() != tt.fails || diags.Errors() > 1 {
			t.Errorf("%q: %v, fails: %v", tt.in, diags.All(), tt.fails)
		}
	}
}
