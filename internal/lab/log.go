package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// pollEvery is how often something is looked at that nobody tells of: a log, a
// neighbour table, a socket that is still to come.
const pollEvery = 5 * time.Millisecond

// clockFormat is how moments are told, so that those of logs and of requests
// can be compared.
const clockFormat = "15:04:05.000"

// Record is one line of a program's log.
type Record struct {
	Time  time.Time
	Level string
	Msg   string
	// Attrs are the attributes, each as text.
	Attrs map[string]string
	// Raw is the line itself, also where it is not a JSON record.
	Raw string
}

// String is the record on one line, for people.
func (r Record) String() string {
	if r.Msg == "" {
		return r.Raw
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Time.Format(clockFormat), r.Msg)
	if r.Level != "INFO" {
		fmt.Fprintf(&b, " (%s)", r.Level)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Attrs)) {
		fmt.Fprintf(&b, "  %s=%s", key, r.Attrs[key])
	}
	return b.String()
}

func parseRecord(line string) Record {
	r := Record{Raw: line, Attrs: map[string]string{}}
	fields := map[string]any{}
	if json.Unmarshal([]byte(line), &fields) != nil {
		return r
	}
	for key, value := range fields {
		text := fmt.Sprint(value)
		switch key {
		case "time":
			r.Time, _ = time.Parse(time.RFC3339Nano, text)
		case "level":
			r.Level = text
		case "msg":
			r.Msg = text
		default:
			r.Attrs[key] = text
		}
	}
	return r
}

// Log follows the file that gets a program's log/slog JSON lines. Restarts of
// the program go on in the same file.
type Log struct {
	path string

	mu      sync.Mutex
	offset  int64
	partial []byte // a line whose end is still to come
	records []Record
}

func newLog(path string) *Log { return &Log{path: path} }

// Path is the file.
func (l *Log) Path() string { return l.path }

// Records returns what is in the log from a mark on.
func (l *Log) Records(from int) ([]Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.read(); err != nil {
		return nil, err
	}
	return slices.Clone(l.records[min(from, len(l.records)):]), nil
}

// Mark is the log's present end, for Records and Wait.
func (l *Log) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read() // an unreadable log has no lines; who waits for one is told why
	return len(l.records)
}

// read takes in what was written since. A file that is not there is empty.
func (l *Log) read() error {
	file, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, l.offset, 1<<62))
	if err != nil {
		return fmt.Errorf("read %s: %w", l.path, err)
	}
	l.offset += int64(len(data))
	l.partial = append(l.partial, data...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			return nil
		}
		l.records = append(l.records, parseRecord(string(line)))
		l.partial = rest
	}
}

// Wait returns the first record from a mark on that matches, as soon as it is
// written. It gives up when the context or the program ends; what is said in
// the error's text to have been waited for.
func (l *Log) Wait(ctx context.Context, from int, program *Process, what string, match func(Record) bool) (Record, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		// Whether it runs is asked first: its last lines are read after that.
		running := program == nil || program.Running()
		records, err := l.Records(from)
		if err != nil {
			return Record{}, err
		}
		if i := slices.IndexFunc(records, match); i >= 0 {
			return records[i], nil
		}
		if !running {
			return Record{}, fmt.Errorf("waited for %s: %s ended (%s)", what, program.Name, program.ended())
		}
		select {
		case <-ctx.Done():
			return Record{}, fmt.Errorf("waited for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Tail is the last lines of the log, for people. What is no record, such as a
// diagnostic of the configuration, is left out where there are records.
func (l *Log) Tail(n int) []string {
	records, err := l.Records(0)
	if err != nil {
		return []string{err.Error()}
	}
	plain := func(r Record) bool { return r.Msg == "" }
	if !slices.ContainsFunc(records, func(r Record) bool { return !plain(r) }) {
		plain = func(r Record) bool { return strings.TrimSpace(r.Raw) == "" }
	}
	records = slices.DeleteFunc(records, plain)
	var lines []string
	for _, r := range records[max(0, len(records)-n):] {
		lines = append(lines, r.String())
	}
	return lines
}
