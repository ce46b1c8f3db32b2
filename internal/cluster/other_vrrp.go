package cluster

import (
	"log/slog"
	"strings"
)

// OtherVRRPFound says that other programs of this machine speak VRRP, which they are in words.
func OtherVRRPFound(processes []string) Event {
	return Event{
		Kind: OtherVRRP, Level: slog.LevelWarn,
		Message: "another program of this machine speaks VRRP: its virtual routers have to be others than weir's",
		Details: []Detail{{"programs", strings.Join(processes, ", ")}},
	}
}
