package track

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/script"
)

// The first run decides alone; after it, rise and fall do.
func TestTally(t *testing.T) {
	for _, tt := range []struct {
		name     string
		initFail bool
		runs     string // + is a success
		want     string // what it is told to be, and - where nothing is
	}{
		{"the first one is good", false, "++--+---", "g......b"},
		{"the first one is bad", false, "-+-+++--", "b....g.."},
		{"init_fail", true, "+-++++", "...g.."},
		{"fall is in a row", false, "+--+--+", "g......"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracker := scriptTracker{scriptSpec: scriptSpec{rise: 2, fall: 3, initFail: tt.initFail}}
			if tt.name == "the first one is bad" {
				tracker.rise = 3
			}
			if _, known := tracker.First(); known != tt.initFail {
				t.Errorf("known %v", known)
			}
			got := ""
			for _, run := range tt.runs {
				switch changed := tracker.tally.count(run == '+'); {
				case !changed:
					got += "."
				case tracker.tally.good:
					got += "g"
				default:
					got += "b"
				}
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// Arguments are compared exactly, by their beginning, or in part (check_params in
// keepalived's track_process.c).
func TestProcessMatches(t *testing.T) {
	for _, tt := range []struct {
		words string
		match string
		full  bool
		comm  string
		argv  string
		want  bool
	}{
		{"sleep", "", false, "sleep", "/bin/sleep 5", true},
		{"sleep", "", false, "cat", "sleep 5", false},
		{"a-name-that-is-long", "", false, "a-name-that-is-", "x", true},
		{"/bin/sleep", "", true, "sleep", "/bin/sleep 5", true},
		{"/bin/sleep", "", true, "sleep", "sleep 5", false},
		{"sleep 5", "", false, "sleep", "sleep 5", true},
		{"sleep 5", "", false, "sleep", "sleep 50", false},
		{"sleep 5", "initial", false, "sleep", "sleep 50", true},
		{"sleep 5", "partial", false, "sleep", "sleep 50", false},
		{"sleep 5", "partial", false, "sleep", "sleep 5 6", true},
		{"sleep", "exact", false, "sleep", "sleep", true},
		{"sleep 5 6", "partial", false, "sleep", "sleep 5", false},
	} {
		words := strings.Fields(tt.words)
		match := tt.match
		if match == "exact" {
			match = ""
		}
		s := processOf(&conf.TrackProcess{Process: words, ParamMatch: match, FullCommand: tt.full})
		if got := s.matches(process{name: tt.comm, argv: strings.Fields(tt.argv)}); got != tt.want {
			t.Errorf("%q %q matches %q (%s): %v", tt.words, tt.match, tt.argv, tt.comm, got)
		}
	}
}

// heard is what a tracker reports.
func heard(t *testing.T, c *conf.Config) (first map[Key]Verdict, reports <-chan Verdict) {
	t.Helper()
	all := make(chan Verdict, 100)
	trackers := Trackers{
		Start: func(task func(context.Context) error) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				task(ctx)
			}()
			t.Cleanup(func() { cancel(); <-done })
			return cancel
		},
		Report: func(_ Key, v Verdict) { all <- v },
		Rules:  func() *script.Rules { return &script.Rules{User: "root"} },
		Log:    slog.New(slog.DiscardHandler),
	}
	return trackers.Set(c), all
}

func next(t *testing.T, reports <-chan Verdict, want Verdict) {
	t.Helper()
	select {
	case v := <-reports:
		if v != want {
			t.Errorf("%+v, want %+v", v, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("nothing in a minute, want %+v", want)
	}
}

// using is a configuration whose instance tracks these.
func using(t conf.Tracks) *conf.Config {
	return &conf.Config{VRRPInstances: []conf.VRRPInstance{{Name: "V", Tracks: t}}}
}

func TestScriptIsRun(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	c := using(conf.Tracks{Scripts: []conf.Track{{Name: "s"}}})
	c.TrackScripts = []*conf.TrackScript{{
		Name: "s", Script: conf.Script{Command: "/usr/bin/test -e " + flag}, Interval: 10 * time.Millisecond, Timeout: time.Minute, Rise: 1, Fall: 2,
	}, {Name: "nobody uses it", Script: conf.Script{Command: "/bin/true"}, Interval: time.Hour, Rise: 1, Fall: 1}}
	first, reports := heard(t, c)
	if len(first) > 0 {
		t.Errorf("known at once: %v", first)
	}
	next(t, reports, Verdict{})
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next(t, reports, Verdict{Good: true})
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	next(t, reports, Verdict{})
}

func TestProcessIsWatched(t *testing.T) {
	name := filepath.Join(t.TempDir(), "weir-watched")
	sleep, err := exec.LookPath("sleep")
	if err == nil {
		err = os.Symlink(sleep, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := using(conf.Tracks{Processes: []conf.Track{{Name: "p"}}})
	c.TrackProcesses = []*conf.TrackProcess{{Name: "p", Process: []string{"weir-watched"}, Quorum: 1}}
	first, reports := heard(t, c)
	if v := first[Key{KindProcess, "p"}]; v.Good {
		t.Error("it runs before it does")
	}
	cmd := exec.Command(name, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	next(t, reports, Verdict{Good: true})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	next(t, reports, Verdict{})
}

func TestFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "number")
	if err := os.WriteFile(path, []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := using(conf.Tracks{Files: []conf.Track{{Name: "f"}}})
	c.TrackFiles = []*conf.TrackFile{{Name: "f", File: path}}
	first, reports := heard(t, c)
	if v := first[Key{KindFile, "f"}]; v.Number != 7 {
		t.Errorf("begins with %d, want 7", v.Number)
	}
	if err := os.WriteFile(path, []byte("-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for { // the file is empty for a moment
		var v Verdict
		select {
		case v = <-reports:
		case <-time.After(time.Minute):
			t.Fatal("nothing in a minute")
		}
		if v.Number == -3 {
			return
		}
	}
}
