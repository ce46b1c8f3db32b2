package track

import (
	"context"

	"weir/conf"
	"weir/internal/trackfile"
)

// fileSpec is a track_file. Its init_file is done before.
type fileSpec struct {
	path string
}

func fileOf(f *conf.TrackFile) fileSpec { return fileSpec{f.File} }

// fileTracker follows the number in a file.
type fileTracker struct {
	fileSpec
	files *trackfile.Files
	first Verdict
}

// First reads the file.
func (t *fileTracker) First() (Verdict, bool) {
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
