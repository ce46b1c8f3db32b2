package vm

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Real servers come and go beside the real keepalived: after each step its IPVS table is weir's.
// Five stories are told; STORIES=all tells all.
func TestStories(t *testing.T) {
	path := program(t, "stories", "build", "./test/vm/stories")
	few := " -short"
	if os.Getenv("STORIES") == "all" {
		few = ""
	}
	out, status := guest(t, 20*time.Minute, "modprobe ip_vs && "+path+few)
	if status != 0 || strings.Count(out, "ok ") < 5 {
		t.Errorf("status %d", status)
	}
}
