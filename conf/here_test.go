package conf

import (
	"slices"
	"testing"
)

// TestMissingHere notes what the machine does not have that reads a file.
func TestMissingHere(t *testing.T) {
	const file = `vrrp_script chk {
  script "/opt/chk -x" nobody
}
vrrp_instance A {
  interface eth7
  virtual_router_id 1
  notify_master /opt/notify
  notify_backup "/bin/true x"
  track_interface {
    eth8
  }
  virtual_ipaddress {
    192.0.2.1/24 dev eth9
    192.0.2.2/24
  }
}
`
	has := []string{"eth9", "/bin/true"}
	known := func(name string) bool { return slices.Contains(has, name) }
	read := func(here *Here) map[string]int {
		_, diags := newParser(memory{}, Options{Here: here}).parse("f.conf", file)
		got := map[string]int{}
		for _, d := range diags.All() {
			if d.Code == codeNotHere {
				got[d.Subject] = d.Line
				if !d.Machine || d.Severity != Note {
					t.Errorf("%+v", d)
				}
			}
		}
		return got
	}
	got := read(&Here{known, known, known})
	for subject, line := range map[string]int{"interface eth7": 5, "interface eth8": 10, "program /opt/chk": 2, "user nobody": 2, "program /opt/notify": 7} {
		if got[subject] != line {
			t.Errorf("%s: line %d, want %d", subject, got[subject], line)
		}
	}
	if len(got) != 5 || len(read(nil)) != 0 {
		t.Errorf("got %v", got)
	}
}
