package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/conf"
	"weir/internal/api"
)

// checkVerb runs "weir check", and returns its exit code.
func checkVerb(t *testing.T, stdin string, args ...string) (out string, code int) {
	t.Helper()
	var b bytes.Buffer
	cmd := rootCommand()
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(append([]string{"check"}, args...))
	err := cmd.Execute()
	var own exitCode
	switch {
	case errors.As(err, &own):
		return b.String(), int(own)
	case err != nil && !errors.Is(err, errSilent):
		return b.String() + err.Error(), 1
	case err != nil:
		return b.String(), 1
	}
	return b.String(), 0
}

const (
	// someIDs has a mistake for each of two config ids, and is right without their lines.
	someIDs = `vrrp_instance A {
  interface eth0
  virtual_router_id 1
  @main priority 300
  @backup prioritty 100
  virtual_ipaddress {
    192.0.2.1/24
  }
}
`
	// notReady is right, but "weir run" cannot do it: nothing is read in its place.
	notReady = "net_namespace_ipvs blue\n"
	warned   = "virtual_server 192.0.2.1 80 {\n  lb_kind NAT\n  lb_algo rr\n  real_server 192.0.2.9 80 {\n  }\n}\n"
	noted    = "global_defs {\n  data_use_instance\n  json_version 2\n}\n"
)

// TestCheckVerb is about the arguments, the flags and the exit codes.
func TestCheckVerb(t *testing.T) {
	tests := []struct {
		name, in string
		args     []string
		code     int
		want     []string
		never    string
	}{
		{"standard input", "", []string{"-"}, 0, []string{"(standard input): ok: 0 VRRP instances"}, ""},
		{"what cannot run", notReady, []string{"-"}, 1, []string{"(standard input):1:20: error: a net_namespace_ipvs", "[not-ready]", "1 error in"}, ""},
		{"what cannot be silenced", notReady, []string{"--silence=not-ready", "-"}, 1, []string{"cannot be silenced"}, ""},
		{"warnings", warned, []string{"-"}, 0, []string{"[protocol-default]"}, ""},
		{"strict", warned, []string{"--strict", "-"}, 2, []string{"[protocol-default]"}, ""},
		{"strict and errors", warned + "x\n", []string{"--strict", "-"}, 1, []string{"[protocol-default]"}, ""},
		{"quiet", warned + noted, []string{"-q", "-"}, 0, nil, "protocol"},
		{"quiet and strict", warned, []string{"-q", "--strict", "-"}, 2, []string{"[protocol-default]"}, ""},
		{"quiet and errors", warned + "x\n", []string{"-q", "-"}, 1, []string{"unknown keyword"}, "protocol-default"},
		{"notes of one kind", noted, []string{"-"}, 0, []string{"(standard input): note: accepted and without effect yet, 2 places: data_use_instance, json_version  [not-yet]\n"}, " | "},
		{"all config ids", someIDs, []string{"-"}, 1, []string{":4:18: error: priority: 300", "with config id main\n", `:5:11: error: unknown keyword "prioritty"`, "with config id backup\n", "2 errors in 1 file"}, ""},
		{"one config id", someIDs, []string{"--id=main", "-"}, 1, []string{"priority: 300", "1 error in 1 file"}, "with config id"},
		{"another config id", someIDs, []string{"--id", "third", "-"}, 0, nil, "error"},
		{"elsewhere", "@main bfd_instance B {\n@main neighbor_ip 192.0.2.1\n}\n", []string{"--elsewhere", "-"}, 0, nil, "error"},
		{"here", "@main bfd_instance B {\n@main neighbor_ip 192.0.2.1\n}\n", []string{"-"}, 1, []string{"with config id"}, ""},
		{"what this machine lacks", "vrrp_script s {\n script /no/such x-nobody\n}\n", []string{"-"}, 0, []string{"program /no/such", "--elsewhere"}, ""},
		{"what another machine may have", "vrrp_script s {\n script /no/such x-nobody\n}\n", []string{"--elsewhere", "-"}, 0, nil, "[not-here]"},
		{"explain", "", []string{"--explain=not-yet"}, 0, []string{"not-yet: weir cannot do it yet"}, ""},
		{"explain what does not exist", "", []string{"--explain=not-yeti"}, 1, []string{"did you mean not-yet?"}, ""},
		{"explain with places", noted, []string{"--explain=not-yet", "-"}, 0, []string{"(standard input):2:3: note: data_use_instance", "(standard input):3:3: note: json_version"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, code := checkVerb(t, tt.in, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("lacks %q", want)
				}
			}
			if tt.never != "" && strings.Contains(out, tt.never) {
				t.Errorf("has %q", tt.never)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// TestFilesOfVerbs holds the verbs to one way of naming a file.
func TestFilesOfVerbs(t *testing.T) {
	const text = "global_defs {\n    router_id lb1\n}\n"
	for _, verb := range []string{"check", "fmt", "show config"} {
		cmd := rootCommand()
		var out bytes.Buffer
		cmd.SetIn(strings.NewReader(text))
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append(strings.Fields(verb), "-"))
		if err := cmd.Execute(); err != nil {
			t.Errorf("weir %s -: %v\n%s", verb, err, out.String())
		}
		if verb, _, err := rootCommand().Find(strings.Fields(verb)); err != nil || !strings.Contains(verb.Long, defaultConfig) || !strings.Contains(verb.Long, "- is standard\ninput") && !strings.Contains(verb.Long, "- is standard input") {
			t.Errorf("weir %s does not tell how a file is named: %v", verb.Name(), err)
		}
	}
	if fileOf(nil) != "/etc/keepalived/keepalived.conf" {
		t.Error(fileOf(nil))
	}
}

// TestCheckJSON holds what check prints for programs to its schema.
func TestCheckJSON(t *testing.T) {
	var schema struct{ Properties map[string]schemaPart }
	if err := json.Unmarshal([]byte(checkSchema), &schema); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", warned, noted, someIDs, notReady} {
		out, _ := checkVerb(t, text, "--json", "-")
		var got any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		schemaPart{Properties: schema.Properties}.holds(t, "", got)
	}
}

// schemaPart is what TestCheckJSON understands of a schema.
type schemaPart struct {
	Type       string
	Enum       []string
	Properties map[string]schemaPart
	Items      *schemaPart
}

func (s schemaPart) holds(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for name := range s.Properties {
			if _, ok := v[name]; !ok {
				t.Errorf("%s lacks %s", path, name)
			}
		}
		for name, value := range v {
			part, ok := s.Properties[name]
			if !ok {
				t.Errorf("%s.%s is not in the schema", path, name)
			}
			part.holds(t, path+"."+name, value)
		}
	case []any:
		for _, one := range v {
			s.Items.holds(t, path+"[]", one)
		}
	case string:
		if s.Type != "string" && !slices.Contains(s.Enum, v) {
			t.Errorf("%s is %q", path, v)
		}
	case bool:
		if s.Type != "boolean" {
			t.Errorf("%s is %v", path, v)
		}
	case float64:
		if s.Type != "integer" || v != float64(int(v)) {
			t.Errorf("%s is %v", path, v)
		}
	default:
		t.Errorf("%s is %v", path, v)
	}
}

// TestCheckPromisesRun holds check's exit code to what "weir run" reads: 0 is a file that
// it would start with.
func TestCheckPromisesRun(t *testing.T) {
	files, err := filepath.Glob("../../conf/testdata/corpus/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	dir := t.TempDir()
	texts := userFiles(t)
	maps.Copy(texts, map[string]string{"empty": "", "warned": warned, "noted": noted, "not-ready": notReady, "unknown": "x\n"})
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	for _, file := range files {
		_, _, err := api.Read(&conf.Loader{}, file)
		if out, code := checkVerb(t, "", "--id=lb1", file); (code == 0) != (err == nil) {
			t.Errorf("%s: exit code %d, but weir run says %v\n%s", file, code, err, out)
		}
	}
}
