package track

import (
	"context"
	"log/slog"

	"weir/conf"
	"weir/internal/trackfile"
)

// fileSpec is a track_file.
type fileSpec struct {
	path      string
	init      bool
	value     int
	overwrite bool
}

func fileOf(f *conf.TrackFile) fileSpec {
	return fileSpec{f.File, f.Init, f.InitValue, f.Overwrite}
}

// fileTracker follows the number in a file.
type fileTracker struct {
	fileSpec
	files *trackfile.Files
	log   *slog.Logger
	first Verdict
}

// First reads the file, which init_file makes before.
func (t *fileTracker) First() (Verdict, bool) {
	if t.init {
		if err := trackfile.Init(t.path, t.value, t.overwrite); err != nil {
			t.log.Warn("a tracked file could not be made", "error", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.files.Follow(ctx, t.path, func(number int64) { // calls it at once
		t.first = Verdict{Number: number}
		cancel()
	})
	return t.first, true
}

func (t *fileTracker) Run(ctx context.Context, report func(Verdict)) {
	last := t.first
	t.files.Follow(ctx, t.path, func(number int64) {
		if v := (Verdict{Number: number}); v != last {
			last = v
			report(v)
		}
	})
}
