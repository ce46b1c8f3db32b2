package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/cluster"
)

// Events are what a node's director has told so far, over all its restarts, as a
// reader of its socket gets it. A moment in time is a place in them.
type Events struct {
	mu     sync.Mutex      // guards what follows
	list   []cluster.Event // only ever appended to
	missed uint64
	err    error // why none can be read at the moment
	// last is the number of the last event of the present process, and ended is
	// closed when that process has ended and all that it told is in the list.
	last   uint64
	ended  chan struct{}
	notify chan struct{} // closed when something is added
}

func newEvents() *Events {
	e := &Events{ended: make(chan struct{}), notify: make(chan struct{})}
	close(e.ended) // there is no process yet
	return e
}

// follow reads the events of a process until it ends. It may be called before the
// process has opened its socket.
func (e *Events) follow(p *Process, runDir string) {
	ended := make(chan struct{})
	e.mu.Lock()
	e.last, e.ended = 0, ended
	e.mu.Unlock()
	go func() {
		defer close(ended)
		client := api.NewClient(runDir)
		// A stream that is open is read to its end, also of a process that has died.
		for p.Running() {
			e.fail(e.read(client))
			time.Sleep(pollEvery)
		}
		e.fail(nil)
	}()
}

// read reads until the stream ends, behind the last event of the present process.
func (e *Events) read(client *api.Client) error {
	e.mu.Lock()
	last := e.last
	e.mu.Unlock()
	for told, err := range client.Events(context.Background(), last) {
		if err != nil {
			return err
		}
		e.add(told)
	}
	return nil
}

func (e *Events) add(told api.Told) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case told.Missed != nil:
		e.missed += told.Missed.Count
	case told.Event != nil:
		e.list = append(e.list, *told.Event)
		e.last = told.Event.Number
	}
	e.err = nil
	close(e.notify)
	e.notify = make(chan struct{})
}

// fail remembers why no events can be read at the moment: the socket is still to come,
// or the process has just died. What it was is told when a wait fails.
func (e *Events) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// behind are the events behind the first seen ones, and what changes or ends when
// there may be more.
func (e *Events) behind(seen int) (list []cluster.Event, notify, ended <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list[seen:len(e.list):len(e.list)], e.notify, e.ended
}

// since are the events from a moment on.
func (e *Events) since(from time.Time) []cluster.Event {
	list, _, _ := e.behind(0)
	return slices.DeleteFunc(slices.Clone(list), func(one cluster.Event) bool { return one.Time.Before(from) })
}

// wait returns the first event from a moment on that matches. It gives up when the
// context ends, or the program, all of whose events have been read by then.
func (e *Events) wait(ctx context.Context, from time.Time, program *Process, what string, match func(cluster.Event) bool) (cluster.Event, error) {
	over := false
	for seen := 0; ; {
		list, notify, ended := e.behind(seen)
		for _, one := range list {
			if !one.Time.Before(from) && match(one) {
				return one, nil
			}
		}
		seen += len(list)
		if over {
			return cluster.Event{}, fmt.Errorf("waited for %s: %s ended (%s)%s", what, program.Name, program.ended(), e.lost())
		}
		select {
		case <-notify:
		case <-ended:
			over = true
		case <-ctx.Done():
			return cluster.Event{}, fmt.Errorf("waited for %s: %w%s", what, context.Cause(ctx), e.lost())
		}
	}
}

// reached waits until the event of that number of the present process is read.
func (e *Events) reached(ctx context.Context, number uint64) error {
	for {
		e.mu.Lock()
		last, notify, ended := e.last, e.notify, e.ended
		e.mu.Unlock()
		if last >= number {
			return nil
		}
		select {
		case <-notify:
		case <-ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lost says why events are missing that a wait may have been for.
func (e *Events) lost() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil:
		return fmt.Sprintf(" (its events cannot be read: %v)", e.err)
	case e.missed > 0:
		return fmt.Sprintf(" (%d events were missed)", e.missed)
	}
	return ""
}

// Line is the event on one line, for people.
func Line(e cluster.Event) string {
	r := Record{Time: e.Time, Level: e.Level.String(), Msg: e.Message, Attrs: map[string]string{}}
	for _, d := range e.Details {
		r.Attrs[d.Name] = e.Detail(d.Name)
	}
	return r.String()
}

// What to wait for.

// IsKind matches an event of this kind.
func IsKind(kind cluster.Kind) func(cluster.Event) bool {
	return func(e cluster.Event) bool { return e.Kind == kind }
}

// IsState matches the director's change to a VRRP state.
func IsState(to cluster.State) func(cluster.Event) bool {
	return func(e cluster.Event) bool { return e.Kind == cluster.VRRPState && e.To == string(to) }
}

// IsServer matches a real server's change to "up" or "down".
func IsServer(addrPort, state string) func(cluster.Event) bool {
	return func(e cluster.Event) bool {
		return (e.Kind == cluster.RealServerUp || e.Kind == cluster.RealServerDown) && e.RealServer == addrPort && e.To == state
	}
}

// IsFirstCheck matches the first good check of a real server.
func IsFirstCheck(addrPort string) func(cluster.Event) bool {
	return func(e cluster.Event) bool {
		return e.Kind == cluster.FirstCheckPassed && strings.HasSuffix(e.Detail("check"), " "+addrPort)
	}
}
