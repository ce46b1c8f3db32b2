package lab

import (
	"context"
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/cluster"
)

// viewWithin bounds how long a director may take to tell its state.
const viewWithin = 5 * time.Second

// View is what a node's director tells of itself, in short.
type View struct {
	Running bool
	// State is the state of its VRRP instance, and Since when that is.
	State cluster.State
	Since time.Time
	// Down are the real servers that it has taken out, by address and port,
	// with the reason.
	Down map[string]string
	// Devices are where its data plane is attached: "ens160 tc".
	Devices []string
}

// View asks the present weir process. One that does not run has no view; one that is
// starting or stopping is an error.
func (n *Node) View() (View, error) {
	v := View{Running: n.Weir() != nil && n.Weir().Running(), Down: map[string]string{}}
	if !v.Running {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), viewWithin)
	defer cancel()
	s, err := api.NewClient(n.RunDir()).Snapshot(ctx)
	if err != nil {
		return v, fmt.Errorf("%s: %w", n.Spec.Name, err)
	}
	if len(s.Instances) > 0 {
		v.State, v.Since = s.Instances[0].State, s.Instances[0].Since
	}
	for _, service := range s.Services {
		for _, server := range service.Servers {
			if !server.Up {
				v.Down[server.Addr.String()] = server.Reason
			}
		}
	}
	for _, d := range s.Devices {
		v.Devices = append(v.Devices, d.Name+" "+string(d.Hook))
	}
	return v, nil
}

// Wait waits for an event of the node's director, from its present process's start
// on. It fails at once when that process ends.
func (n *Node) Wait(ctx context.Context, what string, match func(cluster.Event) bool) (cluster.Event, error) {
	n.mu.Lock()
	from := n.launched
	n.mu.Unlock()
	return n.WaitFrom(ctx, from, what, match)
}

// WaitFrom is Wait from a moment on.
func (n *Node) WaitFrom(ctx context.Context, from time.Time, what string, match func(cluster.Event) bool) (cluster.Event, error) {
	if n.Weir() == nil {
		return cluster.Event{}, fmt.Errorf("%s: waited for %s: its director was never started", n.Spec.Name, what)
	}
	e, err := n.events.wait(ctx, from, n.Weir(), what, match)
	if err != nil {
		return e, fmt.Errorf("%s: %w", n.Spec.Name, err)
	}
	return e, nil
}

// Happened are all events of the node's director from a moment until now.
func (n *Node) Happened(ctx context.Context, from time.Time) ([]cluster.Event, error) {
	if n.Weir() != nil && n.Weir().Running() {
		s, err := api.NewClient(n.RunDir()).Snapshot(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Spec.Name, err)
		}
		if err := n.events.reached(ctx, s.LastEvent); err != nil {
			return nil, fmt.Errorf("read the events of %s: %w", n.Spec.Name, err)
		}
	}
	if lost := n.events.lost(); lost != "" {
		return nil, fmt.Errorf("read the events of %s%s", n.Spec.Name, lost)
	}
	return n.events.since(from), nil
}

// Service is the node's web server as a real server: 192.168.25.31:80.
func (n *Node) Service() string { return n.Spec.Addr.Addr().String() + ":80" }
