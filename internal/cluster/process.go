package cluster

import (
	"log/slog"
	"strings"
	"time"
)

// ReloadDone says that a file is in force: how many virtual servers and VRRP
// instances it has changed, how many live connections do not go on, how long
// everything took, and how much of that was reading the file.
func ReloadDone(file string, services, instances, touched int, took, reading time.Duration) Event {
	return Event{Kind: Reloaded, Message: "reloaded", Details: []Detail{
		{"file", file}, {"services", services}, {"vrrp_instances", instances}, {"connections_touched", touched},
		{"took", took.String()}, {"of_it_reading", reading.String()},
	}}
}

// ReloadFailed says that a file was refused and nothing has changed.
func ReloadFailed(file, reason string) Event {
	return Event{
		Kind: ReloadRefused, Level: slog.LevelError, Reason: reason, Message: "reload refused, everything is as it was",
		Details: []Detail{{"file", file}, {"error", reason}},
	}
}

// RestartNeeded says that a reload left a setting as it was.
func RestartNeeded(setting, from, to string) Event {
	return Event{
		Kind: NeedsRestart, Level: slog.LevelWarn, From: from, To: to, Message: "takes a restart",
		Details: []Detail{{"setting", setting}, {"from", from}, {"to", to}},
	}
}

// MistakeFound says where a file that was to be loaded is wrong. Line and column
// count from 1; line 0 means the whole file.
func MistakeFound(file string, line, column int, what, hint string) Event {
	return Event{
		Kind: ConfigurationFlaw, Level: slog.LevelError, Reason: what, Message: "mistake in the configuration",
		Details: []Detail{{"file", file}, {"line", line}, {"column", column}, {"what", what}, {"hint", hint}},
	}
}

// RemarkFound says of what weir warns in a file that was loaded while nobody was shown that.
func RemarkFound(file string, line, column int, what, hint string) Event {
	e := MistakeFound(file, line, column, what, hint)
	e.Level, e.Message = slog.LevelWarn, "warning about the configuration"
	return e
}

// SocketMade says that the socket of the API was removed by somebody, and is there again.
func SocketMade(path string) Event {
	return Event{Kind: Report, Level: slog.LevelWarn, Message: "the socket was removed, and is made again", Details: []Detail{{"socket", path}}}
}

// DirectorStopped says that the director has ended. The data plane goes on with what it has,
// and kept are the instances whose masterships wait for the next process.
func DirectorStopped(kept ...string) Event {
	e := Event{Kind: Stopped, Message: "stopped"}
	if len(kept) > 0 {
		e.Details = []Detail{{"kept_for_a_restart", strings.Join(kept, " ")}}
	}
	return e
}
