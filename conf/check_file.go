package conf

import (
	"math"

	"weir/conf/text"
)

// FileCheck is what FILE_CHECK has of its own.
type FileCheck struct {
	TrackFile string `json:"track_file"`
	Weight    int    `json:"weight"`
	Reverse   bool   `json:"reverse"`
	// Path is the file itself, which the track_file names.
	Path string `json:"path"`
}

// fileCheck is the keyword of FILE_CHECK.
func fileCheck() *entry {
	begin := func(c *rawCheck) { c.File = &FileCheck{} }
	return ownSection(CheckFile, "a file says so", begin, nil, fileCheckEntries()...)
}

func fileCheckEntries() []*entry {
	type C = rawCheck
	return []*entry{
		value("track_file", nonEmpty("a track_file's name"), func(c *C) *string { return &c.File.TrackFile }, "the file", example("F", "F2")),
		custom("weight", number(-math.MaxInt32, math.MaxInt32).expects+" [reverse|noreverse]", "what its number is multiplied with and added to the server's weight; 0 takes the server out while it is not 0", readFileWeight, otherwise("the track_file's"), example("2", "3")),
	}
}

func readFileWeight(r *reader, st *text.Statement, c *rawCheck) bool {
	weight, reverse, next, ok := readWeight(r, st, 0, math.MaxInt32)
	if ok && len(st.Words) > next {
		r.extra(st, next)
		return false
	}
	if ok {
		c.File.Weight, c.File.Reverse = weight, reverse
	}
	return ok
}

// followFile takes what the check does not say from its track_file.
func (c *rawCheck) followFile(f *TrackFile) {
	c.File.Path = f.File
	if !c.Has("weight") {
		c.File.Reverse = f.Reverse
	}
	from(c, f, "weight", "weight", &c.File.Weight, f.Weight)
}
