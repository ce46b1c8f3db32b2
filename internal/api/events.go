package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"weir/internal/cluster"
)

const (
	// heartbeat is how often a reader without events gets a comment line: a reader
	// that has gone is noticed then.
	heartbeat = 15 * time.Second
	// writeWithin is how long a reader may take to accept a write before it is
	// dropped. Events that it has not read wait in the socket's buffer until then.
	writeWithin = 10 * time.Second
	// partWithin is the same for the last events before the end of the process.
	partWithin = 200 * time.Millisecond
)

// mostReaders bounds the readers of events: each stays connected, and others have to get
// through.
const mostReaders = mostClients / 2

// Begin is the first thing that a stream tells: which process's it is. A reader
// that finds another start than before has lost what the earlier process told last,
// and reads this one's events from its first.
type Begin struct {
	Started time.Time `json:"started"`
}

// Missed tells how many events a reader did not get: they came faster than it read,
// or before those that are held.
type Missed struct {
	Count uint64 `json:"count"`
}

// The names of what is told beside events, as the event field of a server-sent event.
const (
	nameBegin  = "begin"
	nameMissed = "missed"
)

// problem is the body of an answer to a GET that could not be given.
type problem struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, text string) { reply(w, status, problem{text}) }

func reply(w http.ResponseWriter, status int, body any) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeWithin)) // or a slow client stays
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // an error means that the reader has gone
}

// snapshot answers GET /v1/snapshot.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), writeWithin)
	defer cancel()
	state, err := s.director.Snapshot(ctx)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("no snapshot: %v; expected a weir that has started and is not stopping", err))
		return
	}
	state.Director.Started = s.events.Begun()
	state.Director.Config, _ = s.runs()
	if s.OtherVRRP != nil {
		state.Director.OtherVRRP, state.Director.OtherRouters = s.OtherVRRP()
	}
	reply(w, http.StatusOK, state)
}

// after is the number of the last event that a reader has got. Last-Event-ID, which
// a reader that reconnects sends by itself, counts more than the address it was given.
func after(r *http.Request) (uint64, error) {
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "after", r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %q: expected the number of an event, such as 0 for all that are held", name, text)
	}
	return n, nil
}

// stream answers GET /v1/events until the reader leaves, is too slow, or the process
// ends, whose last events it still gets.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	n, err := after(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if s.readers.Add(1) > mostReaders {
		s.readers.Add(-1)
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d clients read events already; expected fewer", mostReaders))
		return
	}
	defer s.readers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &eventWriter{w: w, control: http.NewResponseController(w), within: writeWithin}
	events := s.events.Subscribe(n)
	out.tell(nameBegin, Begin{s.events.Begun()})
	for out.err == nil && r.Context().Err() == nil {
		e, missed, err := s.next(r.Context(), events)
		switch {
		case err == nil:
			out.event(e, missed)
		case s.ending.Err() != nil:
			out.within = partWithin
			out.rest(events)
			return
		case errors.Is(err, context.DeadlineExceeded):
			out.comment("alive")
		}
	}
}

// next waits for an event for as long as a heartbeat.
func (s *Server) next(reader context.Context, events *cluster.Subscription) (cluster.Event, uint64, error) {
	ctx, cancel := context.WithTimeout(s.ending, heartbeat)
	defer cancel()
	defer context.AfterFunc(reader, cancel)()
	return events.Next(ctx)
}

// eventWriter writes server-sent events (WHATWG HTML, section 9.2), each at once. The
// first error is kept and ends all writing.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	within  time.Duration
	err     error
}

// event tells an event, and before it what was missed.
func (o *eventWriter) event(e cluster.Event, missed uint64) {
	if missed > 0 {
		o.tell(nameMissed, Missed{missed})
	}
	data, err := json.Marshal(e)
	if err != nil {
		o.err = err
		return
	}
	o.write("id: %d\ndata: %s\n\n", e.Number, data)
}

// rest tells the events that are there already.
func (o *eventWriter) rest(events *cluster.Subscription) {
	for o.err == nil {
		e, missed, ok := events.Held()
		if !ok {
			return
		}
		o.event(e, missed)
	}
}

// tell tells something that is no event of the cluster and has no number.
func (o *eventWriter) tell(name string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		o.err = err
		return
	}
	o.write("event: %s\ndata: %s\n\n", name, data)
}

// comment writes a line that readers pass over.
func (o *eventWriter) comment(text string) { o.write(": %s\n\n", text) }

func (o *eventWriter) write(format string, args ...any) {
	if o.err != nil {
		return
	}
	if o.err = o.control.SetWriteDeadline(time.Now().Add(o.within)); o.err != nil {
		return
	}
	if _, o.err = fmt.Fprintf(o.w, format, args...); o.err != nil {
		return
	}
	o.err = o.control.Flush()
}
