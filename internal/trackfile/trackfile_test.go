package trackfile_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/trackfile"
)

// patience is longer than any change takes to be seen, whatever else the machine does.
const patience = time.Minute

// follower gets the numbers of a file.
type follower struct {
	t       *testing.T
	numbers chan int64
}

func follow(t *testing.T, files *trackfile.Files, path string) *follower {
	t.Helper()
	f := &follower{t, make(chan int64, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		files.Follow(ctx, path, func(n int64) { f.numbers <- n })
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// want waits for a number.
func (f *follower) want(what string, want int64) {
	f.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case n := <-f.numbers:
			if n == want {
				return
			}
			f.t.Fatalf("%s: the number is %d, want %d", what, n, want)
		case <-deadline:
			f.t.Fatalf("%s: no other number within %s, want %d", what, patience, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replace puts another file in the place of one, so that at no moment it is half written.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	must(t, os.Rename(path+".new", path))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file may be written, replaced, removed and made anew, and so may its folder.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "drain")
	var files trackfile.Files
	f := follow(t, &files, path)
	f.want("no such file", 0)
	write(t, path, "5\n")
	f.want("written", 5)
	second := follow(t, &files, path)
	second.want("another follower", 5)
	replace(t, path, "9")
	f.want("replaced", 9)
	second.want("replaced, to the other follower", 9)
	replace(t, path, "99999999999")
	replace(t, path, "-3")
	f.want("one too large is ignored", -3)
	must(t, os.Remove(path))
	f.want("removed", 0)
	write(t, path, "1")
	f.want("made anew", 1)
	must(t, os.RemoveAll(dir))
	f.want("without its folder", 0)
	must(t, os.MkdirAll(dir, 0o755))
	write(t, path, "2")
	f.want("in a folder made anew", 2)
	write(t, path, "3")
	f.want("written there", 3)
}

// A link is followed to the file that it points to, wherever that is, and to another one.
func TestFollowLink(t *testing.T) {
	t.Parallel()
	dir, there := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "link")
	write(t, filepath.Join(there, "a"), "1")
	write(t, filepath.Join(there, "b"), "2")
	must(t, os.Symlink(filepath.Join(there, "a"), path))
	f := follow(t, &trackfile.Files{}, path)
	f.want("the file behind the link", 1)
	write(t, filepath.Join(there, "a"), "7")
	f.want("written", 7)
	must(t, os.Remove(path))
	f.want("without the link", 0)
	must(t, os.Symlink(filepath.Join(there, "b"), path))
	f.want("a link to another file", 2)
}

// What is no regular file has the number 0, and blocks nobody.
func TestFollowOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	follow(t, &trackfile.Files{}, dir).want("a folder", 0)
	follow(t, &trackfile.Files{}, "/dev/zero").want("a device", 0)
	follow(t, &trackfile.Files{}, filepath.Join(dir, "none", "file")).want("no such folder", 0)
}

func TestInit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	is := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the file has %q (%v), want %q", got, err, want)
		}
	}
	must(t, trackfile.Init(path, 7, false))
	is("7\n")
	must(t, trackfile.Init(path, 8, false))
	is("7\n")
	must(t, trackfile.Init(path, -9, true))
	is("-9\n")
	if err := trackfile.Init(filepath.Dir(path), 1, true); err == nil {
		t.Error("a folder is overwritten")
	}
	if err := trackfile.Init(path+"/below", 1, false); err == nil {
		t.Error("a file is made below a file")
	}
}

func TestWeigh(t *testing.T) {
	type result struct {
		add     int
		failure bool
	}
	for _, c := range []struct {
		what    string
		bounds  trackfile.Bounds
		number  int64
		weight  int
		reverse bool
		want    result
	}{
		{"weight 0 and 0", trackfile.Priorities, 0, 0, false, result{}},
		{"weight 0 and 1", trackfile.Priorities, 1, 0, false, result{0, true}},
		{"weight 0 and -1", trackfile.Priorities, -1, 0, false, result{0, true}},
		{"reverse, weight 0 and 0", trackfile.Priorities, 0, 0, true, result{0, true}},
		{"reverse, weight 0 and 1", trackfile.Priorities, 1, 0, true, result{}},
		{"a product", trackfile.Priorities, 10, -5, false, result{-50, false}},
		{"its negative", trackfile.Priorities, 10, -5, true, result{50, false}},
		{"just no failure", trackfile.Priorities, -253, 1, false, result{-253, false}},
		{"a failure", trackfile.Priorities, -254, 1, false, result{0, true}},
		{"the most", trackfile.Priorities, 254, 254, false, result{253, false}},
		{"a weight", trackfile.Weights, 1000, 1000, false, result{1000000, false}},
		{"the least weight", trackfile.Weights, math.MinInt32, 1, false, result{0, true}},
		{"just above", trackfile.Weights, math.MinInt32 + 1, 1, false, result{math.MinInt32 + 1, false}},
		{"the most weight", trackfile.Weights, math.MinInt32, math.MinInt32, false, result{math.MaxInt32, false}},
		{"the other end", trackfile.Weights, math.MaxInt32 + 1, math.MinInt32, false, result{0, true}},
	} {
		if add, failure := c.bounds.Weigh(c.number, c.weight, c.reverse); (result{add, failure}) != c.want {
			t.Errorf("%s: %d, %v, want %+v", c.what, add, failure, c.want)
		}
	}
}
