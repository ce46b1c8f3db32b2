package realserver

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Another process that has the state does not keep this one for ever.
func TestLockOfTheState(t *testing.T) {
	open := func(dir string) *os.File {
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	dir := t.TempDir()
	if err := lockFolder(open(dir), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := lockFolder(open(dir), 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("got %v, want that it is taken", err)
	}
}
