package attach

import (
	"errors"
	"sync"
)

// gate is what a program passes on its way to a device, attached and pinned in one step. Once
// it is shut, nothing gets to a device any more, while a program is still being verified.
type gate struct {
	mu   sync.Mutex
	shut bool // guarded by mu
}

var errShut = errors.New("the data plane is being taken away")

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

// pass does something that close waits for, unless that has been called before.
func (g *gate) pass(do func() error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return errShut
	}
	return do()
}
