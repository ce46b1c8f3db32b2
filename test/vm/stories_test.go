package vm

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Real servers come and go beside the real keepalived: after each step its IPVS table is weir's, and
// both have run the same programs, written the same lines, and sent the same mails. Five stories
// of quorums and one of each check are told; STORIES=all tells all, and holds the times of both
// to each other. On a machine that stands still for long, the checks of either see servers that are
// silent: a story that such a machine leaves without a verdict is logged, and fails the long form.
func TestStories(t *testing.T) {
	path := program(t, "stories", "build", "./test/vm/stories")
	all := os.Getenv("STORIES") == "all"
	words, told := " -short", 13
	if all {
		words, told = " -times", 32
	}
	out, status := guest(t, 20*time.Minute, "modprobe ip_vs && "+path+words)
	ok, slow := strings.Count("\n"+out, "\nok "), strings.Count("\n"+out, "\nslow ")
	t.Logf("%d stories are ok, and %d have no verdict", ok, slow)
	if status != 0 || ok+slow != told || all && slow > 0 {
		t.Errorf("status %d, want %d stories that are ok", status, told)
	}
}
