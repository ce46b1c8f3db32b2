package conf

import (
	"fmt"
	"path"
	"runtime"
	"strings"

	"weir/conf/text"
)

// weirFailed begins the diagnostic of a panic.
const weirFailed = "weir cannot read this: "

// guarded is read, with a panic made an error: the file is refused, at the place that
// was being read, and whoever reads it goes on with the last one that was right.
func (p *parser) guarded(src *text.Source) (cfg *Config, diags text.Diagnostics, same bool) {
	defer func() {
		if cause := recover(); cause != nil {
			p.diags.ErrorOf(text.KindWeir, p.diags.Now, weirFailed+fmt.Sprint(cause),
				"this is a mistake in weir, not in the file; please report it with the file", "weir stopped at "+panicAt())
			cfg, diags, same = nil, p.diags.Finish(src.Name, p.run.Files()), p.parts == nil
		}
	}()
	return p.read(src)
}

// panicAt is the line of weir's that a panic came from, as "resolve.go:12". It is
// called while the panic is being recovered.
func panicAt() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for panicking := false; ; {
		frame, more := frames.Next()
		own := !strings.HasPrefix(frame.Function, "runtime.")
		if panicking && own {
			return fmt.Sprintf("%s:%d", path.Base(frame.File), frame.Line)
		}
		panicking = panicking || !own
		if !more {
			return "an unknown line"
		}
	}
}
