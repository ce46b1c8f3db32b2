package cluster

import (
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
	// From and To are the states before and after, Reason is why.
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Message and Details are the event's line in the log: a constant text, and all
	// attributes in the order of the line, the fields above among them.
	Message string   `json:"message"`
	Details []Detail `json:"details,omitempty"`
}

// Detail is one attribute of an event's line.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Kind is what sort of thing happened. The table kinds has a row for each.
type Kind string
