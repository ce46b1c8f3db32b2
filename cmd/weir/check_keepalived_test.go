package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestConfigTest is "keepalived -t", by its exit codes.
func TestConfigTest(t *testing.T) {
	const instance = "vrrp_instance V {\ninterface lo0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.1\n}\n"
	tests := []struct {
		name, in string
		want     int
	}{
		{"good", instance + "}\n", 0},
		{"a note", instance + "smtp_alert\n}\n", 0},
		{"an error", instance + "quux\n}\n", 5},
		{"a warning that keepalived takes for an error", instance + "authentication {\nauth_type PASS\nauth_pass 123456789\n}\n}\n", 5},
		{"a script that is not secured", instance + "notify /bin/true\n}\n", 6},
		{"a script that is", "global_defs {\nenable_script_security\n}\n" + instance + "notify /bin/true\n}\n", 0},
		{"a script that is not there", instance + "notify /nonexistent/true\n}\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keepalived.conf")
			if err := os.WriteFile(path, []byte(tt.in), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := configTest(t, "-t", "-f", path); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
		})
	}
	if got := configTest(t, "-n", "-l", "--config-test", "--use-file=/nonexistent"); got != 4 {
		t.Errorf("a missing file: exit code %d, want 4", got)
	}
}

func configTest(t *testing.T, args ...string) int {
	t.Helper()
	cmd := keepalivedCommand()
	cmd.SetArgs(args)
	cmd.SetErr(&bytes.Buffer{})
	return keepalivedMain(t.Context(), cmd)
}
