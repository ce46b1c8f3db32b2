package check

import (
	"context"
	"fmt"
	"time"

	"weir/conf"
	"weir/internal/trackfile"
)

// File is FILE_CHECK: the number in a file says whether the server is up, or what is added
// to its weight.
type File struct {
	conf.FileCheck
	Files *trackfile.Files
}

func newFile(c conf.Check, shared *Shared) Source { return File{*c.File, &shared.Files} }

func (c File) String() string { return string(conf.CheckFile) + " " + c.TrackFile }

// Run reports what the file's number says, by trackfile.Bounds.Weigh, until ctx ends.
func (c File) Run(ctx context.Context, report func(Verdict)) error {
	var told Verdict
	first := true
	c.Files.Follow(ctx, c.Path, func(number int64) {
		v := c.verdict(number)
		if first || v.Up != told.Up || v.Weight != told.Weight {
			report(v)
			told, first = v, false
		}
	})
	return nil
}

func (c File) verdict(number int64) Verdict {
	add, failure := trackfile.Weights.Weigh(number, c.Weight, c.Reverse)
	if failure {
		return Verdict{Reason: fmt.Errorf("track_file %s has the number %d", c.TrackFile, number), At: time.Now()}
	}
	return Verdict{Up: true, Weight: Weight{N: add}, At: time.Now()}
}
