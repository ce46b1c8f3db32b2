package conf

import "math"

// FileCheck is what FILE_CHECK has of its own.
type FileCheck struct {
	TrackFile string `json:"track_file"`
	Weight    int    `json:"weight"`
	Reverse   bool   `json:"reverse"`
}

// fileCheck is the keyword of FILE_CHECK.
func fileCheck() *entry {
	begin := func(c *rawCheck) { c.File = &FileCheck{} }
	return ownSection(CheckFile, "a file says so", begin, nil, fileCheckEntries()...)
}

func fileCheckEntries() []*entry {
	type C = rawCheck
	return []*entry{
		value("track_file", nonEmpty("a track_file's name"), func(c *C) *string { return &c.File.TrackFile }, "the file"),
		weighted(math.MaxInt32, func(c *C) *int { return &c.File.Weight }, func(c *C) *bool { return &c.File.Reverse }, "what its number is multiplied with and added to the server's weight"),
	}
}
