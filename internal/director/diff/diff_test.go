package diff

import (
	"fmt"
	"testing"

	"weir/conf"
)

// A setting is named by its blocks and its keyword; a block that comes or goes is a value.
func TestSettings(t *testing.T) {
	tests := []struct {
		change conf.Change
		want   string
	}{
		{conf.Change{Kind: Changed, Keyword: "weight", From: "1", To: "3"}, "{weight 1 3 in place}"},
		{conf.Change{Block: []string{"TCP_CHECK"}, Kind: Changed, Keyword: "retry", From: "1", To: "3", Trait: conf.Anew}, "{TCP_CHECK retry 1 3 anew}"},
		{conf.Change{Block: []string{"weir", "device eth1"}, Kind: Added}, "{weir device  eth1 in place}"},
		{conf.Change{Block: []string{"TCP_CHECK"}, Kind: Removed}, "{check TCP_CHECK  in place}"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(Settings([]conf.Change{tt.change})[0]); got != tt.want {
			t.Errorf("%+v is %s, want %s", tt.change, got, tt.want)
		}
	}
}
