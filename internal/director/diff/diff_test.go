package diff

import (
	"fmt"
	"testing"
	"time"
)

// Only values that are written differently are settings that change.
func TestCompare(t *testing.T) {
	var s Settings
	s.Compare("weight", 1, 1)
	s.Compare("weight", 1, 3)
	s.Compare("delay", time.Second, 2*time.Second)
	s.Compare("flag", OnOff(true), OnOff(false))
	if got := fmt.Sprint(s); got != "[{weight 1 3} {delay 1s 2s} {flag on off}]" {
		t.Errorf("settings %s", got)
	}
}
