package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenFile holds a generated text to the file that it stands in.
func goldenFile(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not current: run go test ./conf -update (-file +generated):\n%s", name, diff)
	}
}

func TestReferenceIsCurrent(t *testing.T) { goldenFile(t, "../docs/configuration.md", Reference()) }

func TestSchemaIsCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	goldenFile(t, "../docs/configuration.schema.json", schema)
}

// TestEveryKeywordIsDocumented wants of each keyword a sentence, and of each that
// takes values what they are.
func TestEveryKeywordIsDocumented(t *testing.T) {
	seen := map[*blockSpec]bool{}
	var visit func(s *blockSpec)
	visit = func(s *blockSpec) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, e := range s.entries {
			if e.help == "" {
				t.Errorf("%s %s has no help", e.name, s.where())
			}
			if e.inner != nil {
				visit(e.inner)
			}
		}
	}
	l := keepalived()
	visit(l.root)
	// A keepalived takes the words of the weir block for words outside any
	// block: none may be one of its own.
	for _, e := range l.root.lookup("weir").inner.entries {
		if l.root.lookup(e.name) != nil {
			t.Errorf("%s of the weir block is a word that keepalived knows outside any block", e.name)
		}
	}
	if len(l.names) < 390 {
		t.Errorf("%d keywords, which are fewer than there were", len(l.names))
	}
}

// TestJSONFitsTheSchema holds the JSON of a file with every kind of block to the
// schema.
func TestJSONFitsTheSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	cfg, diags := Options{Linter: TestLinter}.Load("testdata/corpus/everything.conf")
	if cfg == nil {
		t.Fatal(diags.All())
	}
	out, err := cfg.JSON(ShowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(out, &value); err != nil {
		t.Fatal(err)
	}
	for _, problem := range fits(value, schema, "") {
		t.Error(problem)
	}
	if problems := fits(map[string]any{"quux": 1.0}, schema, ""); len(problems) < 2 {
		t.Errorf("the schema takes anything: %v", problems)
	}
}

// fits lists where a value is not as a schema says.
func fits(value any, schema map[string]any, path string) (problems []string) {
	kinds := map[string]bool{}
	switch v := value.(type) {
	case map[string]any:
		kinds["object"] = true
		properties, _ := schema["properties"].(map[string]any)
		for name, inner := range v {
			property, known := properties[name].(map[string]any)
			if !known && schema["additionalProperties"] == false {
				problems = append(problems, path+"/"+name+" is not in the schema")
			} else if known {
				problems = append(problems, fits(inner, property, path+"/"+name)...)
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				problems = append(problems, fmt.Sprintf("%s lacks %s", path, name))
			}
		}
	case []any:
		kinds["array"] = true
		items, _ := schema["items"].(map[string]any)
		for i, inner := range v {
			problems = append(problems, fits(inner, items, fmt.Sprintf("%s/%d", path, i))...)
		}
	case string:
		kinds["string"] = true
	case bool:
		kinds["boolean"] = true
	case float64:
		kinds["number"], kinds["integer"] = true, v == float64(int64(v))
	}
	if kind, _ := schema["type"].(string); !kinds[kind] {
		problems = append(problems, fmt.Sprintf("%s is %v, want %s", path, value, kind))
	}
	return problems
}

// TestShow shows values with where they come from, and defaults.
func TestShow(t *testing.T) {
	cfg, diags := parseMemory(memory{"main.conf": "global_defs {\nvrrp_garp_master_delay 7\n}\ninclude v.conf\n",
		"v.conf": bareInstance + "priority 9\n}\n" + "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\ndelay_loop 5\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}\n}\n"}, "main.conf")
	if cfg == nil {
		t.Fatal(diags.All())
	}
	var got bytes.Buffer
	if err := cfg.showTree(&got); err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range strings.SplitSeq(got.String(), "\n") {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, want := range []string{
		"vrrp_instance V {", "priority 9 # v.conf:7", "advert_int 1 # default", "garp_master_delay 7 # main.conf:2",
		"lb_algo rr # v.conf:11", "delay_loop 5 # v.conf:13", "retry 1 # default", "nopreempt off # default",
	} {
		if !lines[want] {
			t.Errorf("lacks %q:\n%s", want, got.String())
		}
	}
	out, err := cfg.JSON(ShowOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var value struct {
		Instances []struct {
			Priority int               `json:"priority"`
			Advert   float64           `json:"advert_int"`
			Origins  map[string]string `json:"origins"`
		} `json:"vrrp_instance"`
	}
	if err := json.Unmarshal(out, &value); err != nil {
		t.Fatal(err)
	}
	v := value.Instances[0]
	if v.Priority != 9 || v.Advert != 1 || v.Origins["priority"] != "v.conf:7" || v.Origins["garp_master_delay"] != "main.conf:2" || v.Origins["advert_int"] != "" {
		t.Errorf("JSON says %+v", v)
	}
}
