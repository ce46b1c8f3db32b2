package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"weir/internal/cluster"
)

// Told is one thing that the stream of events tells: exactly one field is set.
type Told struct {
	Begin  *Begin
	Missed *Missed
	Event  *cluster.Event
}

// Snapshot asks for the state of everything at one moment. The errors are those of
// the connection, or what weir says.
func (c *Client) Snapshot(ctx context.Context) (s cluster.Snapshot, err error) {
	body, err := c.get(ctx, "snapshot")
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("the snapshot of the weir that runs with %s: %w", c.runDir, err)
	}
	return s, nil
}

// Events reads the events whose numbers are greater than after, those that are held
// and then new ones, until ctx ends or the process does. The first thing told is a
// Begin. An error is the last thing; a process that has ended is io.EOF or
// io.ErrUnexpectedEOF.
func (c *Client) Events(ctx context.Context, after uint64) iter.Seq2[Told, error] {
	return func(yield func(Told, error) bool) {
		body, err := c.get(ctx, fmt.Sprintf("events?after=%d", after))
		if err != nil {
			yield(Told{}, err)
			return
		}
		defer body.Close()
		reader := bufio.NewReader(body)
		for {
			told, err := readTold(reader)
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			if !yield(told, err) || err != nil {
				return
			}
		}
	}
}

// readTold reads one server-sent event and passes over comments.
func readTold(r *bufio.Reader) (told Told, err error) {
	var name, data string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return told, err // an event without its empty line is not whole
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && data != "" {
			return told, told.decode(name, data)
		}
		switch field, value, _ := strings.Cut(line, ": "); field {
		case "event":
			name = value
		case "data":
			data = value
		}
	}
}

func (t *Told) decode(name, data string) error {
	var into any
	switch name {
	case nameBegin:
		t.Begin = new(Begin)
		into = t.Begin
	case nameMissed:
		t.Missed = new(Missed)
		into = t.Missed
	case "":
		t.Event = new(cluster.Event)
		into = t.Event
	default:
		return fmt.Errorf("the stream tells of %q, which this weir does not know", name)
	}
	if err := json.Unmarshal([]byte(data), into); err != nil {
		return fmt.Errorf("the stream told %q: %w", data, err)
	}
	return nil
}

// get asks for something that is only read. The caller closes the body.
func (c *Client) get(ctx context.Context, what string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir/v1/"+what, nil)
	if err != nil {
		return nil, err
	}
	return c.open(request, what)
}

// open sends a request about what, and returns the body of an answer that is not an error.
// The caller closes it.
func (c *Client) open(request *http.Request, what string) (io.ReadCloser, error) {
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var p problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Error == "" {
		return nil, fmt.Errorf("the weir that runs with %s does not know /v1/%s (%s): is it an older one?", c.runDir, what, response.Status)
	}
	return nil, fmt.Errorf("the weir that runs with %s: %s", c.runDir, p.Error)
}
