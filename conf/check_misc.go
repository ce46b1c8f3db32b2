package conf

import (
	"time"

	"weir/conf/text"
)

// MiscCheck is what MISC_CHECK has of its own.
type MiscCheck struct {
	Path    Script        `json:"misc_path"`
	Timeout time.Duration `json:"misc_timeout"`
	Dynamic bool          `json:"misc_dynamic"`
	User    Script        `json:"user"`
}

// maxMisc is keepalived's bound: 2³² microseconds.
const maxMisc = 4294 * time.Second

// miscCheck is the keyword of MISC_CHECK.
func miscCheck() *entry {
	begin := func(c *rawCheck) { c.Misc = &MiscCheck{} }
	return ownSection(CheckMisc, "a program says so", begin, localEntries(), miscEntries()...)
}

func miscEntries() []*entry {
	type C = rawCheck
	return []*entry{
		script("misc_path", func(c *C) *Script { return &c.Misc.Path }, "the program: exit code 0 is up", example(`"/bin/true a"`, `"/bin/true b"`)),
		value("misc_timeout", wholeSeconds(0, maxMisc), func(c *C) *time.Duration { return &c.Misc.Timeout }, "how long a run may take", otherwise("delay_loop"), example("2", "3")),
		present("misc_dynamic", func(c *C) *bool { return &c.Misc.Dynamic }, "exit codes from 2 to 255 are up, with a weight of 0 to 253"),
		custom("user", "USER [[:]GROUP]", "the user and group that it runs as", func(r *reader, st *text.Statement, c *C) bool { return c.Misc.User.user(r, st, 1) }, otherwise("script_user"), example("nobody", "nobody daemon")),
	}
}
