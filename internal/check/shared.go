package check

import (
	"context"
	"crypto/tls"
	"net/netip"
	"sync/atomic"

	"weir/internal/script"
	"weir/internal/trackfile"
)

// Shared is what the checks of a configuration have in common. It may change while they
// run. The zero value is that of an empty configuration.
type Shared struct {
	// Client is the client's side of TLS, with its certificate; nil is one without.
	Client atomic.Pointer[tls.Config]
	// Scripts are script_user and enable_script_security.
	Scripts atomic.Pointer[script.Rules]
	// AnswersARP, unless it is nil, says whether a real server on the link answers ARP for
	// an address that it is to have on lo alone. It is set before any check runs.
	AnswersARP func(ctx context.Context, server, addr netip.Addr) bool
	// Files are the track_files that checks follow.
	Files trackfile.Files
	// BFD has the sessions that checks follow. It is set before any check begins.
	BFD Sessions
}
