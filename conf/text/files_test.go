package text

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hung is a disk that does not answer before it is told to.
type hung struct{ goes chan struct{} }

func (h hung) Read(string, bool) (string, error) {
	<-h.goes
	return "late", nil
}

func (h hung) Glob(string) ([]string, error) {
	<-h.goes
	return []string{"late"}, nil
}

// A disk that hangs costs its time once, however many files there are, and threads up to
// a bound, however often it is asked.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := hung{make(chan struct{})}
		begun := time.Now()
		files := Within(disk, 10*time.Second)
		for range 3 {
			if _, err := files.Read("a", true); err == nil || !strings.Contains(err.Error(), "did not come within 10s") {
				t.Errorf("read: %v", err)
			}
		}
		if _, err := files.Glob("*"); err == nil || errors.Is(err, filepath.ErrBadPattern) {
			t.Errorf("glob: %v", err)
		}
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("it took %v, want the patience once", took)
		}
		for range 100 {
			if _, err := Within(disk, time.Second).Read("a", true); err == nil {
				t.Error("read of a disk that hangs: no error")
			}
		}
		if n := hanging.Load(); n > maxHanging {
			t.Errorf("%d hang, want at most %d", n, maxHanging)
		}
		close(disk.goes)
		synctest.Wait()
		if b, err := Within(disk, time.Second).Read("a", true); err != nil || b != "late" {
			t.Errorf("when it goes again: %q, %v", b, err)
		}
	})
}
