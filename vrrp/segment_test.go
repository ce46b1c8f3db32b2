package vrrp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// segment is a network that carries adverts between nodes without a delay, within a
// synctest bubble.
type segment struct {
	start time.Time
	paced bool // transports send by themselves

	mu    sync.Mutex
	nodes []*node
	cut   map[[2]*node]bool // who does not reach whom
}

func newSegment() *segment {
	return &segment{start: time.Now(), cut: make(map[[2]*node]bool)}
}

// node is one instance with its Transport and Owner, which write down their calls, one
// line for each moment:
//
//	3.609375s advert 100, lease, BACKUP > MASTER, announce
type node struct {
	*Instance
	t       testing.TB
	segment *segment
	inbox   chan Packet
	mac     net.HardwareAddr
	stop    func()

	mu       sync.Mutex
	lines    []string
	last     time.Duration
	sendErr  error
	heard    []string
	onHeard  func()
	sendTime time.Time
}

// add makes a node; run starts it.
func (s *segment) add(t testing.TB, cfg Config, logger *slog.Logger) *node {
	t.Helper()
	n := &node{t: t, segment: s, inbox: make(chan Packet, 64), last: -1}
	source := cfg.Source.As4()
	n.mac = net.HardwareAddr{2, 0, 0, 0, 0, source[3]}
	var transport Transport = n
	var owner Owner = n
	if s.paced {
		p := &pacedNode{node: n}
		transport, owner = p, p
	}
	var err error
	if n.Instance, err = New(cfg, transport, owner, logger); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.nodes = append(s.nodes, n)
	s.mu.Unlock()
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Errorf("Run: %v, want nil after a cancelled context", err)
		}
	}
}

// separate cuts or restores the connection between one node and all others.
func (s *segment) separate(n *node, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.nodes {
		s.cut[[2]*node{n, other}], s.cut[[2]*node{other, n}] = cut, cut
	}
}

func (n *node) note(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at := time.Since(n.segment.start); at != n.last {
		n.last = at
		n.lines = append(n.lines, at.String()+" "+what)
		return
	}
	n.lines[len(n.lines)-1] += ", " + what
}

func (n *node) story() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

func (n *node) failSends(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sendErr = err
}

func (n *node) Send(a Advertisement) error {
	n.mu.Lock()
	err := n.sendErr
	n.sendTime = time.Now()
	n.mu.Unlock()
	if err != nil {
		n.note("no advert")
		return err
	}
	n.note(fmt.Sprintf("advert %d", a.Priority))
	// Marshalled and unmarshalled as on a real link, so that the codec takes part.
	b, err := a.MarshalBinary()
	if err != nil {
		return err
	}
	p := Packet{Source: n.cfg.Source, MAC: n.mac, TTL: TTL, Multicast: true}
	p.Err = p.Advertisement.UnmarshalBinary(b)
	n.segment.mu.Lock()
	defer n.segment.mu.Unlock()
	for _, other := range n.segment.nodes {
		if other != n && !n.segment.cut[[2]*node{n, other}] {
			other.inbox <- p
		}
	}
	return nil
}

func (n *node) Received() <-chan Packet { return n.inbox }

func (n *node) Enter(from, to State) { n.note(from.String() + " > " + to.String()) }
func (n *node) Announce()            { n.note("announce") }

func (n *node) Sent(at time.Time) {
	n.note("lease")
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.After(n.sendTime) {
		n.t.Errorf("the lease runs from %s, after the advert at %s", at, n.sendTime)
	}
}

func (n *node) Heard(peer netip.Addr, mac net.HardwareAddr) {
	n.mu.Lock()
	if who := peer.String() + " " + mac.String(); !slices.Contains(n.heard, who) {
		n.heard = append(n.heard, who)
	}
	call := n.onHeard
	n.onHeard = nil
	n.mu.Unlock()
	if call != nil {
		call()
	}
}

var errNoLink = errors.New("network is down")

// wantStory compares what a node wrote down with the lines of want, whose
// indentation does not count.
func wantStory(t *testing.T, who, got, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if want = strings.Join(lines, "\n"); got != want {
		t.Errorf("%s:\n got\n%s\n want\n%s", who, got, want)
	}
}
