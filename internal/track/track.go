// Package track watches what the priorities and faults of VRRP instances hang on: programs
// that are run, processes, numbers in files, and sessions of BFD. It says what is so; what that weighs, who
// asked knows.
package track

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"weir/conf"
	"weir/internal/script"
	"weir/internal/trackfile"
)

// Kind is the keyword of the block that a tracker comes from.
type Kind string

// The kinds of trackers.
const (
	KindScript  Kind = "vrrp_script"
	KindProcess Kind = "vrrp_track_process"
	KindFile    Kind = "track_file"
	KindBFD     Kind = "bfd_instance"
)

// Key names a tracker.
type Key struct {
	Kind Kind
	Name string
}

// Verdict is what a tracker says.
type Verdict struct {
	// Good says that the program succeeds, that enough processes run, or that the session
	// is up.
	Good bool
	// Number is that in the file.
	Number int64
}

// Tracker watches one thing.
type Tracker interface {
	// First is what is so at the moment; known is false where that takes a while. It is
	// called once, before Run.
	First() (v Verdict, known bool)
	// Run calls report with each verdict that differs from the last one, until ctx ends.
	// The one after a First that was not known is reported in any case.
	Run(ctx context.Context, report func(Verdict))
}

// Trackers run trackers. Set and Stop are called by one goroutine.
type Trackers struct {
	// Start runs a task until it is stopped.
	Start func(task func(context.Context) error) (stop context.CancelFunc)
	// Report is told of verdicts, by the trackers' goroutines.
	Report func(Key, Verdict)
	// Make, unless it is nil, makes a tracker instead: a test's.
	Make func(Key) Tracker
	// Rules are what holds for scripts.
	Rules func() *script.Rules
	// Sessions are those of BFD, which have been set when Set is called.
	Sessions Sessions
	Log      *slog.Logger

	files   trackfile.Files
	procs   processes
	running map[Key]*running
}

// running is a tracker at work.
type running struct {
	spec any
	stop context.CancelFunc
	told *latest
}

// latest is a tracker's last verdict.
type latest struct {
	mu    sync.Mutex
	v     Verdict
	known bool
	ended bool
}

func (l *latest) set(v Verdict) (goOn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.v, l.known = v, true
	return !l.ended
}

func (l *latest) get() (Verdict, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.v, l.known
}

func (l *latest) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// Set has exactly those trackers run that a configuration uses, and returns what they say so
// far: those that stay go on, and keep their verdicts.
func (t *Trackers) Set(c *conf.Config) map[Key]Verdict {
	wanted := t.wanted(c)
	for k, r := range t.running {
		if spec, stays := wanted[k]; !stays || !reflect.DeepEqual(spec, r.spec) {
			r.told.end()
			r.stop()
			delete(t.running, k)
		}
	}
	if t.running == nil {
		t.running = map[Key]*running{}
	}
	verdicts := map[Key]Verdict{}
	for k, spec := range wanted {
		if t.running[k] == nil {
			t.running[k] = t.begin(k, spec)
		}
		if v, known := t.running[k].told.get(); known {
			verdicts[k] = v
		}
	}
	return verdicts
}

// begin starts a tracker.
func (t *Trackers) begin(k Key, spec any) *running {
	tracker, told := t.tracker(k, spec), &latest{}
	if v, known := tracker.First(); known {
		told.set(v)
	}
	stop := t.Start(func(ctx context.Context) error {
		tracker.Run(ctx, func(v Verdict) {
			if told.set(v) {
				t.Report(k, v)
			}
		})
		return nil
	})
	return &running{spec, stop, told}
}

// wanted is what each tracker of a configuration that something uses is to watch.
func (t *Trackers) wanted(c *conf.Config) map[Key]any {
	used := map[Key]bool{}
	note := func(list conf.Tracks) {
		for kind, tracks := range map[Kind][]conf.Track{KindScript: list.Scripts, KindProcess: list.Processes, KindFile: list.Files, KindBFD: list.BFDs} {
			for _, track := range tracks {
				used[Key{kind, track.Name}] = true
			}
		}
	}
	for _, i := range c.VRRPInstances {
		note(i.Tracks)
	}
	for _, g := range c.SyncGroups {
		note(g.Tracks)
	}
	all := map[Key]any{}
	add := func(k Key, spec any) {
		if used[k] {
			all[k] = spec
		}
	}
	for _, s := range c.TrackScripts {
		add(Key{KindScript, s.Name}, scriptOf(s))
	}
	for _, p := range c.TrackProcesses {
		add(Key{KindProcess, p.Name}, processOf(p))
	}
	for _, f := range c.TrackFiles {
		add(Key{KindFile, f.Name}, fileOf(f))
	}
	for _, b := range c.BFDs {
		add(Key{KindBFD, b.Name}, bfdOf(b))
	}
	return all
}

// tracker makes the tracker of a specification.
func (t *Trackers) tracker(k Key, spec any) Tracker {
	if t.Make != nil {
		return t.Make(k)
	}
	switch spec := spec.(type) {
	case scriptSpec:
		return &scriptTracker{scriptSpec: spec, name: k.Name, rules: t.Rules, log: t.Log}
	case processSpec:
		return &processTracker{processSpec: spec, all: &t.procs, log: t.Log}
	case bfdSpec:
		return &bfdTracker{bfdSpec: spec, name: k.Name, sessions: t.Sessions}
	default:
		return &fileTracker{fileSpec: spec.(fileSpec), files: &t.files}
	}
}
