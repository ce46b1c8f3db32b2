package cluster

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// stormFrom is how many lines with one message are written one by one in stormFor;
	// those that follow are counted.
	stormFrom = 50
	stormFor  = 10 * time.Second
	// strangersFrom is stormFrom for what any neighbour can have told of.
	strangersFrom = 4
)

// Calm hands on to write what a log is to have of the events: of a storm of events with one
// message the first ones, and then one line with the count of the others. NewStream takes
// it, with write from Log; readers of the stream get every event.
func Calm(write func(Event)) func(Event) {
	c := &calm{write: write, storms: map[string]*storm{}}
	return c.event
}

type calm struct {
	write func(Event)

	mu     sync.Mutex
	storms map[string]*storm // by message, of which there are few
}

// storm counts the events with one message since its first one.
type storm struct {
	written, more int
	level         slog.Level // the highest of those that are counted
}

func (c *calm) event(e Event) {
	c.mu.Lock()
	s := c.storms[e.Message]
	if s == nil {
		s = &storm{}
		c.storms[e.Message] = s
		time.AfterFunc(stormFor, func() { c.end(e.Message) })
	}
	from := stormFrom
	if e.Kind == OtherDirector {
		from = strangersFrom
	}
	if s.written == from {
		s.more++
		s.level = max(s.level, e.Level)
		c.mu.Unlock()
		return
	}
	s.written++
	c.mu.Unlock()
	c.write(e)
}

// end writes how many were counted.
func (c *calm) end(message string) {
	c.mu.Lock()
	s := c.storms[message]
	delete(c.storms, message)
	c.mu.Unlock()
	if s.more > 0 {
		c.write(Event{Time: time.Now(), Level: s.level, Message: "more of the same", Details: []Detail{
			{"message", message}, {"times", s.more}, {"within", stormFor.String()},
		}})
	}
}
