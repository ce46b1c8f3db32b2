package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func show(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"show"}, args...))
	err := cmd.Execute()
	return out.String(), err
}

func TestShowConfig(t *testing.T) {
	out, err := show(t, "config", "../../examples/seed/master.conf")
	if err != nil || !strings.Contains(out, "priority 100") || !strings.Contains(out, "# ../../examples/seed/master.conf:12") || !strings.Contains(out, "# default") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = show(t, "config", "--json", "../../examples/seed/master.conf")
	if err != nil || !json.Valid([]byte(out)) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = show(t, "config", "/nonexistent"); err == nil {
		t.Errorf("a missing file is shown: %s", out)
	}
}

// TestShowDocuments prints what docs/ holds.
func TestShowDocuments(t *testing.T) {
	for name, file := range map[string]string{
		"schema": "configuration.schema.json", "schema --diagnostics": "diagnostics.schema.json", "reference": "configuration.md",
	} {
		want, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := show(t, strings.Fields(name)...); err != nil || got != string(want) {
			t.Errorf("show %s prints something else than docs/%s: %v", name, file, err)
		}
	}
}
