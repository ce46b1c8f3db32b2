// Package check finds out whether real servers serve. One file holds one kind
// of checker; a Runner repeats a checker and decides what its answers mean.
package check

import "context"

// Checker tries a real server once. A Runner calls it, never twice at a time.
type Checker interface {
	// Check returns nil when the server is up; otherwise the error is the
	// reason, as it is shown to people. It ends soon after ctx does.
	Check(ctx context.Context) error
	// String names the check and its target: "TCP_CHECK 192.168.25.32:80".
	String() string
}
