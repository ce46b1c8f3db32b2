package conf

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/conf/text"
)

// TestRender shows the layout: two files, an include, both severities.
func TestRender(t *testing.T) {
	_, diags := parseMemory(memory{
		"main.conf": "include web.conf\nglobal_defs {\n\troter_id é\n}\n",
		"web.conf":  "virtual_server 10.0.0.1 53 {\n  lb_algo wlcc\n  lb_kind DR\n  real_server 10.0.0.2 53 { }\n}\n",
	}, "main.conf")
	want := `main.conf:3:2: error: unknown keyword "roter_id" in global_defs
    3 | 	roter_id é
      | 	^~~~~~~~ did you mean "router_id"?
web.conf:2:11: error: lb_algo: unknown scheduler "wlcc"
    2 |   lb_algo wlcc
      |           ^~~~ did you mean "wlc"?
      included from main.conf:1
web.conf:1:1: warning: virtual_server 10.0.0.1 53 has no protocol: it serves UDP  [protocol-default]
    1 | virtual_server 10.0.0.1 53 {
      | ^~~~~~~~~~~~~~ write "protocol UDP" (or TCP) to say which you mean
      included from main.conf:1

2 errors, 1 warning in 2 files
`
	if diff := cmp.Diff(want, rendered(t, diags, false)); diff != "" {
		t.Errorf("plain (-want +got):\n%s", diff)
	}
	if bare := uncoloured(rendered(t, diags, true)); bare != want {
		t.Errorf("colour changes the words (-want +got):\n%s", cmp.Diff(want, bare))
	}
	if !strings.Contains(rendered(t, diags, true), "\x1b[1;31merror:\x1b[0m") {
		t.Error("an error is not red")
	}
}

func TestRenderNothing(t *testing.T) {
	_, diags := parseLinted("main.conf", nil)
	if got := rendered(t, diags, false); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func rendered(t *testing.T, d text.Diagnostics, colour bool) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.Render(&b, colour); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// uncoloured takes the attributes out: ESC [ ... m.
func uncoloured(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, text, _ = strings.Cut(rest, "m")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"weight", "retry", "alpha", "real_server", "lb_algo", "TCP_CHECK"}
	tests := []struct{ word, want string }{
		{"weigth", "weight"}, {"Weight", "weight"}, {"wight", "weight"}, {"weights", "weight"},
		{"retyr", "retry"}, {"real-server", "real_server"}, {"tcp_check", "TCP_CHECK"},
		{"heartbeat", ""}, {"x", ""}, {"", ""}, {strings.Repeat("weight", 1000), ""},
	}
	for _, tt := range tests {
		if got := text.Nearest(tt.word, known); got != tt.want {
			t.Errorf("nearest(%.20q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}
