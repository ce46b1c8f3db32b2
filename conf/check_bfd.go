package conf

// BFDCheck is what BFD_CHECK has of its own.
type BFDCheck struct {
	Name string `json:"name"`
}

// bfdCheck is the keyword of BFD_CHECK.
func bfdCheck() *entry {
	begin := func(c *rawCheck) { c.BFD = &BFDCheck{} }
	return ownSection(CheckBFD, "a BFD session is up", begin, []*entry{alphaEntry(func(c *rawCheck) *Timers { return &c.Timers })}, bfdEntries()...)
}

func bfdEntries() []*entry {
	return []*entry{value("name", nonEmpty("a bfd_instance's name"), func(c *rawCheck) *string { return &c.BFD.Name }, "the session", firstCounts(), example("B", "B2"))}
}
