package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
)

// example is a state in which every field says something.
func example() cluster.Snapshot {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	vip := netip.MustParsePrefix("192.0.2.100/32")
	return cluster.Snapshot{
		Time: at, Director: cluster.Director{Host: "node01", Loaded: at},
		Devices: []cluster.Device{{Name: "eth0", Hook: lvs.HookTC, Why: "so"}},
		Instances: []cluster.Instance{{
			Name: "VI_1", ID: lvs.InstanceID{Interface: "eth0", VRID: 51}, State: cluster.Master, Since: at, Priority: 100,
			VIPs: []netip.Prefix{vip}, Peer: &cluster.Peer{Addr: netip.MustParseAddr("192.0.2.2"), Priority: 90, Heard: at},
			Sent: 7, Dropped: map[string]uint64{"checksum": 1},
		}},
		Services: []cluster.Service{{Name: "TCP 192.0.2.100:80", Scheduler: "wrr", Servers: []cluster.Server{{
			Addr: netip.MustParseAddrPort("192.0.2.11:80"), Method: "DR", Weight: 2, Reason: "refused", Since: at, Active: 3,
			Checkers: []string{"TCP_CHECK 192.0.2.11:80"},
		}}}},
		Packets: map[string]uint64{"drop_ttl": 2}, Drift: map[string]cluster.Drift{"pins": {Found: 1, Repaired: 1}}, LastEvent: 9,
	}
}

// A snapshot comes over the socket as it is, and says which file runs.
func TestSnapshot(t *testing.T) {
	p, events := &picture{state: example()}, newStream()
	runDir, file, _ := serveEvents(t, p, events)
	want := example()
	want.Director.Config, want.Director.Started = file, events.Begun()
	got, err := NewClient(runDir).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("snapshot\n%s\nwant\n%s", g, w)
	}
	if s, err := NewClient(runDir).State(t.Context()); err != nil || asJSON(t, s.Devices) != `[{"name":"eth0","hook":"auto"}]` {
		t.Errorf("state %+v, %v", s, err)
	}
	p.refuses = errors.New("it is stopping")
	if _, err := NewClient(runDir).State(t.Context()); err == nil || !strings.Contains(err.Error(), "it is stopping; expected") {
		t.Errorf("got %v, want why there is no state", err)
	}
	if _, err := NewClient(runDir).Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "it is stopping; expected") {
		t.Errorf("got %v, want why there is none", err)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// read takes n things that the stream tells, in words.
func read(t *testing.T, runDir string, after uint64, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var list []string
	for told, err := range NewClient(runDir).Events(ctx, after) {
		if err != nil {
			t.Fatalf("after %v: %v", list, err)
		}
		if list = append(list, words(told)); len(list) == n {
			break
		}
	}
	return list
}

func words(told Told) string {
	switch {
	case told.Begin != nil:
		return "begin"
	case told.Missed != nil:
		return fmt.Sprint("missed ", told.Missed.Count)
	}
	return fmt.Sprint(told.Event.Number, " ", told.Event.Kind)
}

// A reader gets what is held, resumes behind the last that it has, and is told what
// it has missed.
func TestEvents(t *testing.T) {
	events := newStream()
	runDir, _, _ := serveEvents(t, &picture{}, events)
	server := netip.MustParseAddrPort("192.0.2.11:80")
	events.Publish(cluster.ServerDown("TCP 192.0.2.100:80", server, errors.New("refused\nat once"), 1))
	events.Publish(cluster.ServerUp("TCP 192.0.2.100:80", server))
	for _, tt := range []struct {
		after uint64
		want  []string
	}{
		{0, []string{"begin", "1 real_server_down", "2 real_server_up"}},
		{1, []string{"begin", "2 real_server_up"}},
		{700, []string{"begin", "1 real_server_down"}}, // of an earlier process
	} {
		if got := read(t, runDir, tt.after, len(tt.want)); !slices.Equal(got, tt.want) {
			t.Errorf("after %d: %v, want %v", tt.after, got, tt.want)
		}
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		events.Publish(cluster.DirectorStopped())
	}()
	if got := read(t, runDir, 2, 2); got[1] != "3 stopped" {
		t.Errorf("a new event: %v, want 3 stopped", got)
	}
	for range 5000 {
		events.Publish(cluster.DirectorStarted(1, 1))
	}
	if got, want := read(t, runDir, 3, 3), []string{"begin", "missed 904", "908 started"}; !slices.Equal(got, want) {
		t.Errorf("too late: %v, want %v", got, want)
	}
}

// A line of an event is the line that SSE readers of any make get.
func TestEventsOnTheWire(t *testing.T) {
	events := newStream()
	runDir, _, stop := serveEvents(t, &picture{}, events)
	events.Publish(cluster.Event{Time: time.Unix(0, 0).UTC()})
	events.Publish(cluster.Event{Time: time.Unix(0, 0).UTC(), Kind: cluster.Stopped, Message: "stopped"})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://weir/v1/events?after=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Last-Event-ID", "1")
	response, err := NewClient(runDir).do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "event: begin\ndata: " + asJSON(t, Begin{events.Begun()}) + "\n\n" +
		`id: 2` + "\n" + `data: {"number":2,"time":"1970-01-01T00:00:00Z","kind":"stopped","level":"INFO","message":"stopped"}` + "\n\n"
	if string(all) != want || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got\n%swant\n%s", all, want)
	}
}

func TestRequestsThatAreWrong(t *testing.T) {
	runDir, _, _ := serveEvents(t, &picture{}, newStream())
	for path, want := range map[string]string{
		"events?after=x": `after \"x\": expected the number of an event`,
		"event":          "GET /v1/event: expected GET /v1/snapshot",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://weir/v1/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := NewClient(runDir).do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode < 400 || response.StatusCode > 404 || !strings.Contains(string(body), `{"error":"`) || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, %s, want %s", path, response.Status, err, body, want)
		}
	}
}

// The end of the server ends all streams at once, behind the last event; a reader
// that is stuck delays nobody.
func TestEventsEndWithTheServer(t *testing.T) {
	events := newStream()
	runDir, _, stop := serveEvents(t, &picture{}, events)
	stuck, err := net.Dial("unix", Socket(runDir))
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := io.WriteString(stuck, "GET /v1/events HTTP/1.1\r\nHost: weir\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	const count = 4000
	for range count {
		events.Publish(cluster.Event{Kind: cluster.Report, Message: strings.Repeat("x", 2000)})
	}
	var last uint64
	var took time.Duration
	for told, err := range NewClient(runDir).Events(t.Context(), count-1) {
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended by %v, want EOF", err)
			}
			break
		}
		if told.Event == nil {
			continue
		}
		if last = told.Event.Number; last == count {
			events.Publish(cluster.DirectorStopped())
			begun := time.Now()
			stop()
			took = time.Since(begun)
		}
	}
	if last != count+1 || took > 5*time.Second {
		t.Errorf("the last event is %d, want %d; the end took %s", last, count+1, took)
	}
}

// A reader that takes nothing is dropped when a write has taken too long.
func TestStuckReaderIsDropped(t *testing.T) {
	out := &eventWriter{within: 20 * time.Millisecond}
	done := make(chan error, 1)
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out.w, out.control = w, http.NewResponseController(w)
		for out.err == nil {
			out.comment(strings.Repeat("x", 1<<16))
		}
		done <- out.err
	})}
	go server.Serve(listener)
	defer server.Close()
	stuck, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := io.WriteString(stuck, "GET / HTTP/1.1\r\nHost: weir\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dropped by %v, want its deadline", err)
		}
	case <-time.After(time.Minute):
		t.Error("the reader was not dropped")
	}
}
