package main

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/dataplane"
	"weir/internal/netlnk"
)

// Another program of this machine that speaks VRRP, such as a keepalived that was left running,
// is not heard: a machine does not get its own adverts. It is found by its sockets. Two with one
// virtual router are masters side by side, and take each other's addresses away.

const (
	otherVRRPEvery = 5 * time.Second
	protocolVRRP   = 112
)

// otherVRRP follows which other programs of this network namespace speak VRRP.
type otherVRRP struct {
	speaks    atomic.Bool // this weir has instances
	processes atomic.Pointer[[]string]
}

// Processes are those programs, in words. Any goroutine may call it.
func (o *otherVRRP) Processes() []string {
	if list := o.processes.Load(); list != nil && o.speaks.Load() {
		return *list
	}
	return nil
}

// watch looks for them until ctx ends, and tells of those that come. One that is there at one look
// alone does not count: it may be another weir's end. Whose the sockets are is asked only where
// there are other ones than before.
func (o *otherVRRP) watch(ctx context.Context, events *cluster.Stream) error {
	var before, known, told []uint64
	look := time.NewTimer(beat.Until(otherVRRPEvery))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			look.Reset(beat.Until(otherVRRPEvery))
		}
		sockets, err := netlnk.RawSockets(protocolVRRP)
		stays := err == nil && slices.Equal(sockets, before)
		before = sockets
		if stays && !slices.Equal(sockets, known) && o.speaks.Load() {
			var others []uint64
			if others, err = netlnk.NotOwn(sockets); err == nil {
				known = sockets
				if !slices.Equal(others, told) {
					told = others
					o.tell(others, events)
				}
			}
		}
		if err != nil {
			events.Logger().Debug("look for other programs that speak VRRP", "error", err)
		}
	}
}

// tell takes up whose these sockets are.
func (o *otherVRRP) tell(sockets []uint64, events *cluster.Stream) {
	processes := []string{}
	for _, pid := range netlnk.SocketHolders(sockets) {
		processes = append(processes, dataplane.Process(strconv.Itoa(pid)))
	}
	if len(sockets) > 0 && len(processes) == 0 {
		processes = append(processes, "a process that cannot be found")
	}
	o.processes.Store(&processes)
	if len(processes) > 0 {
		events.Publish(cluster.OtherVRRPFound(processes))
	}
}
