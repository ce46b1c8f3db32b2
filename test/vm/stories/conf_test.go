package main

import (
	"testing"

	"weir/conf"
)

// Each story's configuration is one that weir reads.
func TestConfigurations(t *testing.T) {
	for _, s := range stories {
		if cfg, diags := conf.Parse(s.name, []byte(s.conf("/tmp/dir", 25))); cfg == nil {
			t.Errorf("%s: %v", s.name, diags.All())
		}
	}
}
