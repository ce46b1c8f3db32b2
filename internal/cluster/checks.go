package cluster

import (
	"log/slog"
	"net/netip"
)

// CheckTurned says that a check passes again, or with a reason that it fails, and that its real
// server is in or out as before.
func CheckTurned(virtualServer string, realServer netip.AddrPort, check string, reason error) Event {
	e := ofServer(CheckChanged, virtualServer, realServer, "up")
	e.Message, e.Checker, e.From, e.To = "check of a real server", check, "down", "up"
	if reason != nil {
		e.Level, e.From, e.To, e.Reason = slog.LevelWarn, "up", "down", reason.Error()
	}
	e.Details = append(e.Details[:2:2], Detail{"check", check}, Detail{"state", e.To})
	if reason != nil {
		e.Details = append(e.Details, Detail{"reason", reason.Error()})
	}
	return e
}

// FirstFailed says that the first check of a real server failed that begins down (alpha).
func FirstFailed(virtualServer string, realServer netip.AddrPort, check string, reason error) Event {
	e := CheckTurned(virtualServer, realServer, check, reason)
	e.Kind, e.Message, e.From = FirstCheckFailed, "first check failed", "down"
	return e
}
