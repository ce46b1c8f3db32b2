package cluster

import (
	"log/slog"
	"strings"

	"weir/lvs"
)

// OtherVRRPFound says that other programs of this machine speak VRRP, which they are in words.
func OtherVRRPFound(processes []string) Event {
	return Event{
		Kind: OtherVRRP, Level: slog.LevelWarn,
		Message: "another program of this machine speaks VRRP: its virtual routers have to be others than weir's",
		Details: []Detail{{"programs", strings.Join(processes, ", ")}},
	}
}

// OtherMasterHere says that another program of this machine advertises a virtual router that an
// instance has.
func OtherMasterHere(instance string, id lvs.InstanceID, processes []string) Event {
	return ofInstance(OtherMasterOfOurs, slog.LevelWarn, instance,
		"another program of this machine advertises the virtual router of an instance: end it, or give one of the two another VRID",
		Detail{"virtual_router", id}, Detail{"programs", strings.Join(processes, ", ")})
}
