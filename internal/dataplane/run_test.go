package dataplane

import (
	"bytes"
	"context"
	"os"
	"testing"

	"weir/internal/netlnk/nstest"
	"weir/lvs"
)

// A foreignContext is of a kind that the context package does not know: who depends
// on it hears of its end in any order.
type foreignContext struct {
	context.Context
	done chan struct{}
}

func (c foreignContext) Done() <-chan struct{} { return c.done }

func (c foreignContext) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// Run ends without an error when its context does, whoever hears of that first.
func TestRunEndsWithItsContext(t *testing.T) {
	withPlane(t, lvs.Plan{}, func(b *bench) {
		for range 50 {
			ctx := foreignContext{t.Context(), make(chan struct{})}
			ended := make(chan error, 1)
			go b.ns.Do(func() { ended <- b.Run(ctx) })
			nstest.WaitFor(t, "it listens for errors about tunnels", func() bool {
				sockets, err := os.ReadFile("/proc/thread-self/net/raw")
				if err != nil {
					t.Fatal(err)
				}
				return bytes.Count(sockets, []byte("\n")) > 1
			})
			close(ctx.done)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
	})
}
