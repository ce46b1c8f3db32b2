package check

import (
	"crypto/tls"
	"sync/atomic"
)

// Shared is what the checks of a configuration have in common. It may change while they
// run. The zero value is that of an empty configuration.
type Shared struct {
	// Client is the client's side of TLS, with its certificate; nil is one without.
	Client atomic.Pointer[tls.Config]
}
