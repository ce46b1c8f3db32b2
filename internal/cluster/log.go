package cluster

import (
	"context"
	"log/slog"
)

// Log returns a function that writes each event as one line of a log: the event's
// message, and its details as attributes. NewStream takes it.
func Log(h slog.Handler) func(Event) {
	return func(e Event) {
		ctx := context.Background()
		if !h.Enabled(ctx, e.Level) {
			return
		}
		r := slog.NewRecord(e.Time, e.Level, e.Message, 0)
		for _, d := range e.Details {
			r.AddAttrs(slog.Any(d.Name, d.Value))
		}
		h.Handle(ctx, r) // a log that cannot be written has nobody to tell
	}
}

// Logger has the engines, which log, publish: each record becomes an event.
func (s *Stream) Logger() *slog.Logger { return slog.New(s.Handler()) }

// Handler is the handler of Logger. Records below slog.LevelInfo become no events.
func (s *Stream) Handler() slog.Handler { return handler{stream: s} }

// handler turns records into events.
type handler struct {
	stream *Stream
	// scopes are what WithAttrs and WithGroup gave, the outermost first.
	scopes []scope
}

// scope is attributes of a logger; those that follow it are in its group, unless
// that is empty.
type scope struct {
	attrs []slog.Attr
	group string
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler { return h.with(scope{attrs: attrs}) }

func (h handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(scope{group: name})
}

func (h handler) with(s scope) slog.Handler {
	return handler{h.stream, append(h.scopes[:len(h.scopes):len(h.scopes)], s)}
}

// Handle publishes a record.
func (h handler) Handle(_ context.Context, r slog.Record) error {
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	for i := len(h.scopes) - 1; i >= 0; i-- {
		if s := h.scopes[i]; s.group != "" {
			attrs = []slog.Attr{{Key: s.group, Value: slog.GroupValue(attrs...)}}
		} else {
			attrs = append(s.attrs[:len(s.attrs):len(s.attrs)], attrs...)
		}
	}
	h.stream.Publish(reported(r, attrs))
	return nil
}

// reported is the event of a record: its kind goes by the message, and its fields are
// filled by the attributes' names.
func reported(r slog.Record, attrs []slog.Attr) Event {
	row, known := byMessage[r.Message]
	if !known {
		row.kind = Report
	}
	e := Event{Time: r.Time, Kind: row.kind, Level: r.Level, Message: r.Message}
	for _, a := range attrs {
		value := a.Value.Resolve().Any()
		e.Details = append(e.Details, Detail{a.Key, value})
		if fill := row.fills[a.Key]; fill != nil {
			fill(&e, value)
		} else if fill := fills[a.Key]; fill != nil {
			fill(&e, value)
		}
	}
	return e
}
