package main

import (
	"context"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/notify"
)

// startNotifying has programs, FIFOs and mails tell of what happens from now on. Stop has them
// tell of the end, and wait waits, a second at most, until they have.
func startNotifying(cfg *conf.Config, stream *cluster.Stream) (n *notify.Notifier, stop, wait func()) {
	n = notify.New(cfg, stream.Logger())
	events := stream.Subscribe(stream.Last())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx, events)
	}()
	return n, cancel, func() {
		cancel()
		<-done
	}
}
