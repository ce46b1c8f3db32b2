package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/conf"
)

// The log of a start tells where an included file has mistakes, and none of its text: it may be no
// configuration, and a log has more readers.
func TestStartTellsNoTextOfAnInclude(t *testing.T) {
	dir := t.TempDir()
	file, included := filepath.Join(dir, "keepalived.conf"), filepath.Join(dir, "shadow")
	for path, text := range map[string]string{
		file:     fmt.Sprintf("nonsense\ninclude %s\n", included),
		included: "root:topsecret:1\ndaemon:topsecret:2\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, form := range []string{"text", jsonLog} {
		var out bytes.Buffer
		lines, err := newLog(&out, form)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(t.Context(), new(conf.Loader), runOptions{config: file, log: form}, &out, slog.New(lines)); !errors.Is(err, errSilent) {
			t.Errorf("%s: %v, want the error that has been told", form, err)
		}
		got := out.String()
		for _, want := range []string{"nonsense", "2 mistakes in an included file", included} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", form, want, got)
			}
		}
		if strings.Contains(got, "topsecret") {
			t.Errorf("%s: the include is echoed:\n%s", form, got)
		}
	}
}
