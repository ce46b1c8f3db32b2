package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/director"
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

// What a start would set up is told without a start: a device that is not there is a fault.
func TestShowState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keepalived.conf")
	text := "vrrp_instance V {\n interface nosuch0\n virtual_router_id 51\n priority 100\n virtual_ipaddress {\n 192.0.2.9 dev lo\n }\n}\n" +
		"virtual_server 192.0.2.9 80 {\n lb_kind DR\n protocol TCP\n real_server 127.0.0.1 80 {\n }\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := show(t, "state", file)
	i := strings.Index("\n"+out, "\n{\n") // behind the warnings
	var state director.State
	if err != nil || i < 0 || json.Unmarshal([]byte(out[i:]), &state) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	in := state.Instances[0]
	if in.Fault != `device "nosuch0": no such device` || in.VIPs[0] != "192.0.2.9/32 on lo" || len(state.Devices) != 1 ||
		len(state.RealServer.Direct) != 1 || !state.Servers[0].Local {
		t.Errorf("state %+v", state)
	}
	if _, err := show(t, "state", "/nonexistent"); err == nil {
		t.Error("a missing file has a state")
	}
	if _, err := show(t, "state", "--run-dir", t.TempDir()); err == nil {
		t.Error("a weir answers that does not run")
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
