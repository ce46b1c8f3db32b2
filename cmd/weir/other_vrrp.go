package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"weir/internal/beat"
	"weir/internal/cluster"
	"weir/internal/dataplane"
	"weir/internal/netlnk"
	"weir/lvs"
)

// Another program of this machine that speaks VRRP, such as a keepalived that was left running,
// is not heard: a machine does not get its own adverts. It is found by its sockets, and what it
// advertises is heard where it leaves. Two with one virtual router are masters side by side, and
// take each other's addresses away.

const (
	otherVRRPEvery = 6 * time.Second // when an idle weir wakes up anyway
	protocolVRRP   = 112
)

// otherVRRP follows which other programs of this network namespace speak VRRP.
type otherVRRP struct {
	speaks    atomic.Bool // this weir has instances
	found     atomic.Pointer[otherSpeakers]
	instances func(context.Context) ([]cluster.Instance, error) // weir's
}

// otherSpeakers are other programs that speak VRRP, in words, and what they were heard to
// advertise.
type otherSpeakers struct {
	processes []string
	routers   []lvs.InstanceID
}

// Found are those programs and virtual routers. Any goroutine may call it.
func (o *otherVRRP) Found() (processes []string, routers []lvs.InstanceID) {
	if found := o.found.Load(); found != nil && o.speaks.Load() {
		return found.processes, found.routers
	}
	return nil, nil
}

// watch looks for them until ctx ends, and tells of those that come. One that is there at one look
// alone does not count: it may be another weir's end. Whose the sockets are is asked only where
// there are other ones than before.
func (o *otherVRRP) watch(ctx context.Context, events *cluster.Stream) error {
	var before, known, told []uint64
	var listener routerListener
	look := time.NewTimer(beat.Until(otherVRRPEvery))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			look.Reset(beat.Until(otherVRRPEvery))
		}
		if !o.speaks.Load() {
			continue
		}
		sockets, err := netlnk.RawSockets(protocolVRRP)
		stays := err == nil && slices.Equal(sockets, before)
		before = sockets
		if stays && !slices.Equal(sockets, known) {
			var others []uint64
			if others, err = netlnk.NotOwn(sockets); err == nil {
				known = sockets
				if !slices.Equal(others, told) {
					told, listener = others, routerListener{}
					o.tell(others, events)
				}
			}
		}
		if len(told) > 0 {
			err = errors.Join(err, o.listen(ctx, &listener, events))
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
	o.found.Store(&otherSpeakers{processes: processes})
	if len(processes) > 0 {
		events.Publish(cluster.OtherVRRPFound(processes))
	}
}

// routerListener remembers what is heard of other programs.
type routerListener struct {
	next  time.Time // when to listen again
	heard map[lvs.InstanceID]time.Time
	told  map[lvs.InstanceID]bool
}

// listen hears what other programs advertise, where it is time to, and tells of the virtual routers
// that weir's instances have.
func (o *otherVRRP) listen(ctx context.Context, l *routerListener, events *cluster.Stream) error {
	if time.Now().Before(l.next) {
		return nil
	}
	l.next = time.Now().Add(hearEvery)
	if l.heard == nil {
		l.heard, l.told = map[lvs.InstanceID]time.Time{}, map[lvs.InstanceID]bool{}
	}
	before, err := o.instances(ctx)
	if err != nil {
		return err
	}
	heard := hear(ctx, before)
	after, err := o.instances(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, id := range notOurs(before, after, heard) {
		l.heard[id] = now
	}
	maps.DeleteFunc(l.heard, func(_ lvs.InstanceID, at time.Time) bool { return now.Sub(at) > routerForgets })
	found := *o.found.Load()
	found.routers = slices.SortedFunc(maps.Keys(l.heard), func(a, b lvs.InstanceID) int { return cmp.Compare(a.String(), b.String()) })
	o.found.Store(&found)
	for _, in := range after {
		_, is := l.heard[in.ID]
		if is && !l.told[in.ID] {
			events.Publish(cluster.OtherMasterHere(in.Name, in.ID, found.processes))
		}
		l.told[in.ID] = is
	}
	return nil
}
