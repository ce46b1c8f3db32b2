package cluster

import (
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
)

// Panic is a panic that was caught: a mistake in weir, which ends what was being done and
// nothing else. It is the error for whoever asked for that.
type Panic struct {
	Doing string // such as "POST /v1/reload"
	Cause any
	At    string // the line that it came from, as "reload.go:12"
	Stack string
}

func (p *Panic) Error() string {
	return fmt.Sprintf("a mistake in weir ended this: %v at %s; please report it with the lines of the log about it", p.Cause, p.At)
}

// Carefully does something and catches its panic, which it returns; nil is none.
func Carefully(doing string, do func()) (caught *Panic) {
	defer func() {
		if cause := recover(); cause != nil {
			caught = &Panic{Doing: doing, Cause: cause, At: panicAt(), Stack: string(debug.Stack())}
		}
	}()
	do()
	return nil
}

// panicAt is the line of weir's that a panic came from. It is called by the deferred function
// that recovers it.
func panicAt() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for panicking := false; ; {
		frame, more := frames.Next()
		own := strings.HasPrefix(frame.Function, "weir/") || strings.HasPrefix(frame.Function, "main.")
		if panicking && own {
			return fmt.Sprintf("%s:%d", path.Base(frame.File), frame.Line)
		}
		panicking = panicking || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown line"
		}
	}
}

// PanicCaught says that a panic was caught, and where it came from.
func PanicCaught(p *Panic) Event {
	cause := fmt.Sprint(p.Cause)
	return Event{
		Kind: Panicked, Level: slog.LevelError, Reason: cause, Message: "a mistake in weir was caught: everything else goes on; please report it",
		Details: []Detail{{"doing", p.Doing}, {"panic", cause}, {"at", p.At}, {"stack", p.Stack}},
	}
}
