// Package bfd is a speaker of Bidirectional Forwarding Detection: it finds out within
// milliseconds whether the path to a neighbour carries packets (RFC 5880; RFC 5881 over one
// hop, RFC 5883 over several). It speaks in asynchronous mode, without authentication and
// echo.
//
//	Speaker ──► session   the state machine of one bfd_instance
//	   │  ▲
//	   ▼  │
//	 sockets              the ports 3784 and 4784
package bfd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Config is a session: a bfd_instance.
type Config struct {
	Name string
	// Neighbor is the other end. Source is this end's address; the zero Addr leaves it to
	// the kernel.
	Neighbor, Source netip.Addr
	// MinTx and MinRx are the least time between two packets that are sent and that are
	// received, while the session is up. IdleTx is MinTx in other states, a second at
	// least (RFC 5880 section 6.8.3). At most 2³²−1 microseconds.
	MinTx, MinRx, IdleTx time.Duration
	// Multiplier is how many packets the neighbour may miss before it holds the session for
	// down; not 0.
	Multiplier uint8
	// Passive waits for the neighbour to begin.
	Passive bool
	// TTL is that of the packets that are sent, and LeastTTL the least that is accepted; 0
	// is any. Over one hop both are 255 (RFC 5881 section 5).
	TTL, LeastTTL uint8
	// Multihop takes the port of RFC 5883.
	Multihop bool
}

// ends are what makes a session another one.
type ends struct {
	neighbor, source netip.Addr
	multihop         bool
	ttl              uint8
}

func (c Config) ends() ends { return ends{c.Neighbor, c.Source, c.Multihop, c.TTL} }

// Speaker speaks BFD with any number of neighbours. The zero value has none.
type Speaker struct {
	// Log, if it is not nil, is told of sessions that come up and go down.
	Log *slog.Logger

	// setting lets one Set or Close be made at a time.
	setting sync.Mutex
	// What follows is guarded by mu; the sockets' goroutines read it.
	mu        sync.Mutex
	sessions  map[string]*running // by name
	known     map[uint32]*running // by discriminator
	statuses  map[string]*status  // of sessions, and of those that are followed
	receivers map[bool]*receiver  // by whether they are of several hops
}

// running is a session with its socket and goroutine.
type running struct {
	*session
	out  *sender
	stop context.CancelFunc
	done chan struct{}
	// least is LeastTTL; reloads change it.
	least uint8
	want  Config
}

// status is the last of a session, for those that follow it.
type status struct {
	Status
	changed chan struct{} // closed when there is another one
}

// Set has the speaker have these sessions and no others. One whose ends are the same goes
// on, with its other times. The error is that of a port that cannot be had; then everything
// is as it was.
func (s *Speaker) Set(all []Config) error {
	s.setting.Lock()
	defer s.setting.Unlock()
	if err := s.listen(all); err != nil {
		return err
	}
	wanted := map[string]Config{}
	for _, c := range all {
		wanted[c.Name] = c
	}
	for name, r := range s.all() {
		if c, ok := wanted[name]; !ok || c.ends() != r.want.ends() {
			s.end(r)
		}
	}
	for _, c := range all {
		if r := s.all()[c.Name]; r == nil {
			s.begin(c)
		} else if r.want != c {
			s.change(r, c)
		}
	}
	s.hush()
	return nil
}

// Close ends all sessions. Their neighbours are not told: for them this end is gone.
func (s *Speaker) Close() { _ = s.Set(nil) } // without sessions there is no port to fail on

// all is a copy of the sessions.
func (s *Speaker) all() map[string]*running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.sessions)
}

// begin starts a session.
func (s *Speaker) begin(c Config) {
	log := s.log()
	ctx, stop := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &running{out: newSender(c, log), stop: stop, done: make(chan struct{}), least: c.LeastTTL, want: c}
	r.session = newSession(c, s.discriminator())
	r.session.send, r.session.log = r.out.send, log
	r.session.tell = func(st Status) { s.tell(c.Name, st) }
	if s.sessions == nil {
		s.sessions, s.known = map[string]*running{}, map[uint32]*running{}
	}
	s.sessions[c.Name], s.known[r.session.local] = r, r
	go func() {
		defer close(r.done)
		r.session.run(ctx)
	}()
}

// discriminator is a number that no session has.
func (s *Speaker) discriminator() uint32 {
	for {
		if d := rand.Uint32(); d != 0 && s.known[d] == nil {
			return d
		}
	}
}

// end stops a session. Its status is that of one that has never been up.
func (s *Speaker) end(r *running) {
	s.mu.Lock()
	delete(s.sessions, r.want.Name)
	delete(s.known, r.session.local)
	s.mu.Unlock()
	r.stop()
	<-r.done
	r.out.close()
	s.tell(r.want.Name, Status{})
}

// change has a session go on with other times.
func (s *Speaker) change(r *running, c Config) {
	s.mu.Lock()
	r.want, r.least = c, c.LeastTTL
	s.mu.Unlock()
	select {
	case r.session.configs <- c:
	case <-r.done:
	}
}

// tell makes a session's status known.
func (s *Speaker) tell(name string, to Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status(name)
	if st.Status != to {
		st.Status = to
		close(st.changed)
		st.changed = make(chan struct{})
	}
}

func (s *Speaker) status(name string) *status {
	if s.statuses == nil {
		s.statuses = map[string]*status{}
	}
	st := s.statuses[name]
	if st == nil {
		st = &status{changed: make(chan struct{})}
		s.statuses[name] = st
	}
	return st
}

// Follow calls report with the status of the session of this name, at once and whenever it
// has become another one, from the caller's goroutine, until ctx ends. A name that no
// session has is down. Of statuses that follow each other faster than report returns, the
// last one counts.
func (s *Speaker) Follow(ctx context.Context, name string, report func(Status)) {
	var told Status
	for first := true; ; first = false {
		s.mu.Lock()
		st := s.status(name)
		now, changed := st.Status, st.changed
		s.mu.Unlock()
		if first || now != told {
			report(now)
			told = now
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Speaker) log() *slog.Logger {
	return cmp.Or(s.Log, slog.New(slog.DiscardHandler))
}

// take hands a packet to its session (RFC 5880 section 6.8.6, RFC 5881 section 3). A packet
// of nobody, or that has come too far (RFC 5881 section 5), is dropped; so is one that the
// session has no time for.
func (s *Speaker) take(d datagram, multihop bool) {
	var p Packet
	if p.UnmarshalBinary(d.data) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.known[p.YourDiscriminator]
	if p.YourDiscriminator == 0 {
		r = s.of(d, multihop)
	}
	if r == nil || r.want.Multihop != multihop || r.want.Neighbor != d.from || d.ttl < r.least {
		return
	}
	select {
	case r.session.packets <- p:
	default:
	}
}

// of is the session of a neighbour that does not know it yet.
func (s *Speaker) of(d datagram, multihop bool) *running {
	for _, r := range s.sessions {
		c := r.want
		if c.Neighbor == d.from && c.Multihop == multihop && (!c.Source.IsValid() || c.Source == d.to) {
			return r
		}
	}
	return nil
}

// listen opens the ports that sessions need.
func (s *Speaker) listen(all []Config) error {
	for _, c := range all {
		if s.receivers[c.Multihop] != nil {
			continue
		}
		r, err := listen(port(c.Multihop), func(d datagram) { s.take(d, c.Multihop) })
		if err != nil {
			s.hush()
			return fmt.Errorf("listen for BFD: %w", err)
		}
		if s.receivers == nil {
			s.receivers = map[bool]*receiver{}
		}
		s.receivers[c.Multihop] = r
	}
	return nil
}

// hush closes the ports that no session needs.
func (s *Speaker) hush() {
	needed := map[bool]bool{}
	for _, r := range s.all() {
		needed[r.want.Multihop] = true
	}
	for multihop, r := range s.receivers {
		if !needed[multihop] {
			r.close()
			delete(s.receivers, multihop)
		}
	}
}

// The ports of control packets (RFC 5881 section 4, RFC 5883 section 5).
const (
	controlPort  = 3784
	multihopPort = 4784
)

func port(multihop bool) uint16 {
	if multihop {
		return multihopPort
	}
	return controlPort
}
