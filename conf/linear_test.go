package conf

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestLinear reads 256 KiB of each text that could tempt a parser into
// quadratic time: with n² steps it would take minutes, and takes about a
// second.
func TestLinear(t *testing.T) {
	const size = 1 << 18
	numbered := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	repeated := func(text string) string { return strings.Repeat(text, size/len(text)) }
	texts := map[string]string{
		"braces":               repeated("{"),
		"closing braces":       repeated("}"),
		"braces on lines":      repeated("{\n"),
		"half pairs":           repeated("a{b"),
		"dollars":              repeated("${"),
		"dollars and blanks":   repeated("${a "),
		"quotes":               repeated(`"`),
		"apostrophes":          repeated("a'"),
		"one word":             repeated("x"),
		"one line of words":    "weight " + repeated("x "),
		"one line of blocks":   repeated("a{ } "),
		"unknown keywords":     numbered("keyword%d\n"),
		"near keywords":        repeated("virtual_sever\n"),
		"nested judged blocks": repeated("virtual_server 1.2.3.4 80 {\nreal_server 1.2.3.4 80 {\nTCP_CHECK {\n"),
		"strays":               repeated("virtual_server 1.2.3.4 80 {\nretry 1\n}\nprotocol TCP\n}\n"),
		"tempting strays":      "virtual_server 1.2.3.4 80 {\nreal_server 1.2.3.4 {\nTCP_CHECK {\n}\n" + repeated("retry 1\nconnect_port 1\n") + "}}}}}}}}",
		"instances":            numbered("vrrp_instance V%d {\ninterface e0\nvirtual_router_id 1\nvirtual_ipaddress {\n1.2.3.4\n}\n}\n"),
		"devices":              "weir {\n" + numbered("device d%d\n") + "}",
		"peers":                "vrrp_instance V {\nunicast_peer {\n" + numbered("10.0.%d.1\n") + "}\n}",
		"definitions":          numbered("$A%d=1\n"),
		"uses":                 "$A=1\nrouter_id " + repeated("$A"),
		"includes":             repeated("include main\n"),
		"repeated includes":    repeated("include other\n"),
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, diags := parseMemory(memory{"main": text, "other": strings.Repeat("retry 1\n", 100)}, "main")
			if err := diags.Render(io.Discard, true); err != nil {
				t.Fatal(err)
			}
			took := time.Since(start)
			t.Logf("%d diagnostics in %v", len(diags.All()), took.Round(time.Millisecond))
			if took > 20*time.Second {
				t.Errorf("%d bytes took %v", len(text), took)
			}
		})
	}
}
