package lab

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/api"
	"weir/internal/cluster"
	"weir/internal/director"
)

// still is a director whose socket has nothing to tell but events.
type still struct{}

func (still) Plan(*conf.Config) (director.Changes, error)   { return director.Changes{}, nil }
func (still) Reload(*conf.Config) (director.Changes, error) { return director.Changes{}, nil }
func (still) Snapshot(context.Context) (cluster.Snapshot, error) {
	return cluster.Snapshot{}, errors.New("none")
}
func (still) State(context.Context) (director.State, error) {
	return director.State{}, errors.New("none")
}

// told is a process that opens a socket with these events a while after its start;
// end ends it.
func told(t *testing.T, runDir string, list ...cluster.Event) (p *Process, end func()) {
	t.Helper()
	p = &Process{Name: "weir", done: make(chan struct{}), err: errors.New("signal: killed")}
	stream := cluster.NewStream(func(cluster.Event) {})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		time.Sleep(30 * time.Millisecond)
		s, err := api.Listen(runDir, "keepalived.conf", new(conf.Loader), still{}, stream)
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range list {
			stream.Publish(e)
		}
		s.Run(ctx)
	}()
	return p, func() {
		stream.Publish(cluster.DirectorStopped())
		cancel()
		<-ended
		close(p.done)
	}
}

// A reader begins before there is a socket, reads a process to its last event, and
// goes on with the next process, whose numbers begin anew.
func TestEventsOverARestart(t *testing.T) {
	runDir, ctx := t.TempDir(), t.Context()
	server := netip.MustParseAddrPort("10.9.0.1:80")
	e := newEvents()
	begun := time.Now()
	first, end := told(t, runDir,
		cluster.Event{Kind: cluster.VRRPState, To: "master"},
		cluster.ServerDown("TCP 10.9.0.100:80", server, errors.New("refused"), 4),
		cluster.Event{Kind: cluster.FirstCheckPassed, Details: []cluster.Detail{{Name: "check", Value: "TCP_CHECK 10.9.0.1:80"}}})
	e.follow(first, runDir)
	if _, err := e.wait(ctx, begun, first, "master", IsState(cluster.Master)); err != nil {
		t.Error(err)
	}
	down, err := e.wait(ctx, begun, first, "down", IsServer("10.9.0.1:80", "down"))
	if err != nil || down.Detail("tries") != "4" || !strings.HasSuffix(Line(down), "tries=4  virtual_server=TCP 10.9.0.100:80") {
		t.Errorf("the event is %s, %v", Line(down), err)
	}
	if _, err := e.wait(ctx, begun, first, "a check", IsFirstCheck("10.9.0.1:80")); err != nil {
		t.Error(err)
	}
	limited, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := e.wait(limited, time.Now(), first, "what has been before", IsKind(cluster.VRRPState)); err == nil || !strings.Contains(err.Error(), "waited for what has been before") {
		t.Errorf("a wait from now on for what has been: %v", err)
	}
	end()
	if _, err := e.wait(ctx, begun, first, "the end", IsKind(cluster.Stopped)); err != nil {
		t.Error(err)
	}
	_, err = e.wait(ctx, begun, first, "what never comes", IsServer("10.9.0.1:80", "up"))
	if err == nil || !strings.Contains(err.Error(), "weir ended (signal: killed)") {
		t.Errorf("a wait for a process that has ended: %v", err)
	}
	restarted := time.Now()
	second, end := told(t, runDir, cluster.ServerUp("TCP 10.9.0.100:80", server))
	e.follow(second, runDir)
	if _, err := e.wait(ctx, restarted, second, "up", IsServer("10.9.0.1:80", "up")); err != nil {
		t.Error(err)
	}
	if err := e.reached(ctx, 1); err != nil {
		t.Error(err)
	}
	end()
	if got := len(e.since(time.Time{})); got < 5 {
		t.Errorf("%d events in all, want those of both processes, 5 at least", got)
	}
}
