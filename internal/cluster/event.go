package cluster

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Event is one thing that happened. Number counts from 1 in the order in which
// things happened in this process.
type Event struct {
	Number uint64     `json:"number"`
	Time   time.Time  `json:"time"`
	Kind   Kind       `json:"kind"`
	Level  slog.Level `json:"level"`
	// What happened to which thing: those that do not fit the kind are empty.
	Instance      string `json:"vrrp_instance,omitempty"`
	VirtualServer string `json:"virtual_server,omitempty"`
	RealServer    string `json:"real_server,omitempty"`
	Device        string `json:"device,omitempty"`
	// Checker is the kind of check that a real server came or went by, such as TCP_CHECK.
	Checker string `json:"checker,omitempty"`
	// From and To are the states before and after, Reason is why.
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Message and Details are the event's line in the log: a constant text, and all
	// attributes in the order of the line, the fields above among them.
	Message string   `json:"message"`
	Details []Detail `json:"details,omitempty"`
}

// Detail is one attribute of an event's line. Value has the type that the log
// writes: a text log and a JSON log show it each in their own way.
type Detail struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Detail is the value of a detail as text, "" where the event has none of that name.
func (e Event) Detail(name string) string {
	for _, d := range e.Details {
		if d.Name == name {
			return fmt.Sprint(d.Value)
		}
	}
	return ""
}

// MarshalJSON writes errors, and values that have a text form of their own, as text,
// a group of attributes as an object, and everything else as encoding/json does.
// A value that it cannot write, such as a channel, is written as text.
func (d Detail) MarshalJSON() ([]byte, error) {
	value, err := json.Marshal(plain(d.Value))
	if err != nil {
		value, err = json.Marshal(fmt.Sprint(d.Value))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	}{d.Name, value})
}

// plain is a value as JSON has it.
func plain(value any) any {
	switch v := value.(type) {
	case error:
		return v.Error()
	case []slog.Attr:
		group := make(map[string]any, len(v))
		for _, a := range v {
			group[a.Key] = plain(a.Value.Resolve().Any())
		}
		return group
	case json.Marshaler, encoding.TextMarshaler:
		return v
	case fmt.Stringer:
		return v.String()
	}
	return value
}

// Kind is what sort of thing happened: one of those in kinds.go.
type Kind string
