package bfd

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// session is one end of a BFD session in asynchronous mode (RFC 5880 section 6.8). One
// goroutine, that of run, owns it.
//
//	                          +--+
//	                          |  | UP, ADMIN DOWN, TIMER
//	                          |  V
//	                  DOWN  +------+  INIT
//	           +------------|      |------------+
//	           |            | DOWN |            |
//	           |  +-------->|      |<--------+  |
//	           |  |         +------+         |  |
//	           |  |                          |  |
//	           |  |               ADMIN DOWN,|  |
//	           |  |ADMIN DOWN,          DOWN,|  |
//	           |  |TIMER                TIMER|  |
//	           V  |                          |  V
//	         +------+                      +------+
//	    +----|      |                      |      |----+
//	DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
//	    +--->|      | INIT, UP             |      |<---+
//	         +------+                      +------+
//
// (RFC 5880 section 6.2; the words are the neighbour's state, TIMER is the end of the
// detection time.)
type session struct {
	config Config
	// applied are the times that the timers go by. In a session that is up they follow
	// longer intervals only once the neighbour has answered a poll (section 6.8.3).
	applied struct{ minTx, minRx time.Duration }

	state         State
	diagnostic    Diagnostic
	local, remote uint32 // discriminators
	remoteState   State
	remoteMinRx   time.Duration
	remoteMinTx   time.Duration
	remoteMult    uint8
	remoteDemand  bool
	polling       bool

	// send gives a packet to the network.
	send func(Packet)
	// tell is called when the session comes up, or has gone down for another reason than
	// that the neighbour has switched BFD off.
	tell func(Status)
	log  *slog.Logger

	packets  chan Packet
	configs  chan Config
	transmit *time.Timer // the next packet
	due      bool        // whether one is to be sent
	detect   *time.Timer // the end of the detection time
}

// Status is what a session says of its path.
type Status struct {
	Up bool
	// Been says that it has been up. A session that has not may have no neighbour yet.
	Been bool
	// Diagnostic is why it is down.
	Diagnostic Diagnostic
}

func newSession(c Config, discriminator uint32) *session {
	s := &session{
		config: c, state: Down, local: discriminator, remoteState: Down, remoteMinRx: time.Microsecond,
		packets: make(chan Packet, 16), configs: make(chan Config, 1),
	}
	s.applied.minTx, s.applied.minRx = c.MinTx, c.MinRx
	return s
}

// run speaks until ctx ends.
func (s *session) run(ctx context.Context) {
	s.begin()
	defer s.transmit.Stop()
	defer s.detect.Stop()
	for do := s.next(ctx); do != nil; do = s.next(ctx) {
		do()
	}
}

func (s *session) begin() {
	s.transmit, s.detect = stoppedTimer(), stoppedTimer()
	s.schedule()
}

// next waits for what happens next and returns what is to be done then; nil when ctx ends.
func (s *session) next(ctx context.Context) func() {
	select {
	case p := <-s.packets:
		return func() { s.receive(p) }
	case c := <-s.configs:
		return func() { s.reconfigure(c) }
	case <-s.transmit.C:
		return func() { s.sendPacket(false); s.schedule() }
	case <-s.detect.C:
		return s.expire
	case <-ctx.Done():
		return nil
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// receive takes in a packet that is valid and of this session (section 6.8.6).
func (s *session) receive(p Packet) {
	before := s.interval()
	s.remote, s.remoteState, s.remoteDemand = p.MyDiscriminator, p.State, p.Demand
	s.remoteMinRx, s.remoteMinTx, s.remoteMult = p.RequiredMinRx, p.DesiredMinTx, p.Multiplier
	if p.Final && s.polling {
		s.polling = false
		s.apply()
	}
	was := s.state
	s.follow(p)
	s.detect.Reset(s.detectionTime())
	if p.Poll {
		s.sendPacket(true)
	}
	if s.state != was {
		s.hurry()
		return
	}
	// A shorter interval holds at once; with a longer one the packet that is due may still
	// be sent when it was to be (section 6.8.3).
	if s.silent() || s.interval() < before || !s.due {
		s.schedule()
	}
}

// hurry tells the neighbour of a new state before the interval is over (section 6.8.7).
func (s *session) hurry() {
	if !s.silent() {
		s.sendPacket(false)
	}
	s.schedule()
}

// follow has the state follow from the neighbour's (section 6.8.6).
func (s *session) follow(p Packet) {
	switch {
	case p.State == AdminDown:
		if s.state != Down {
			s.fall(NeighborSignaledDown)
		}
	case s.state == Down && p.State == Down:
		s.rise(Init)
	case s.state == Down && p.State == Init, s.state == Init && (p.State == Init || p.State == Up):
		s.rise(Up)
	case s.state == Up && p.State == Down:
		s.fall(NeighborSignaledDown)
	}
}

func (s *session) rise(to State) {
	s.state, s.diagnostic = to, NoDiagnostic
	if to != Up {
		return
	}
	// The interval becomes that of a session which is up: the neighbour is asked to take it
	// in (sections 6.5 and 6.8.3).
	s.polling = true
	s.log.Info("BFD session is up", "name", s.config.Name, "neighbor", s.config.Neighbor)
	s.tell(Status{Up: true, Been: true})
}

func (s *session) fall(why Diagnostic) {
	was := s.state
	s.state, s.diagnostic, s.polling = Down, why, false
	s.apply()
	if was != Up {
		return
	}
	s.log.Warn("BFD session is down", "name", s.config.Name, "neighbor", s.config.Neighbor, "reason", why.String())
	if s.remoteState != AdminDown { // that is no failure of the path (RFC 5882 section 3.2)
		s.tell(Status{Been: true, Diagnostic: why})
	}
}

// expire ends a detection time in which nothing came (section 6.8.4).
func (s *session) expire() {
	s.remote = 0
	if s.state == Init || s.state == Up {
		s.remoteState = Down
		s.fall(DetectionTimeExpired)
		s.hurry()
		return
	}
	s.schedule()
}

// reconfigure takes in other times. A session that is up asks the neighbour to take them in
// before longer intervals count (section 6.8.3).
func (s *session) reconfigure(c Config) {
	s.config = c
	if s.state != Up {
		s.apply()
		s.schedule()
		return
	}
	s.polling = true
	s.applied.minTx = min(s.applied.minTx, c.MinTx)
	s.applied.minRx = max(s.applied.minRx, c.MinRx)
	s.schedule()
}

func (s *session) apply() { s.applied.minTx, s.applied.minRx = s.config.MinTx, s.config.MinRx }

// desiredMinTx is what this end says that it would like to send at: not faster than once a
// second until the session is up (section 6.8.3).
func (s *session) desiredMinTx() time.Duration {
	if s.state != Up {
		return s.config.IdleTx
	}
	return s.config.MinTx
}

// interval is the time between two packets that are sent, before jitter (section 6.8.7).
func (s *session) interval() time.Duration {
	if s.state != Up {
		return max(s.config.IdleTx, s.remoteMinRx)
	}
	return max(s.applied.minTx, s.remoteMinRx)
}

// detectionTime is after how long without a packet the session goes down (section 6.8.4).
func (s *session) detectionTime() time.Duration {
	return time.Duration(s.remoteMult) * max(s.applied.minRx, s.remoteMinTx)
}

// silent says that no packets are sent at intervals (section 6.8.7): to a neighbour that is
// not known yet in the passive role, to one that wants none, and to one in demand mode while
// both ends are up.
func (s *session) silent() bool {
	return s.config.Passive && s.remote == 0 || s.remoteMinRx == 0 ||
		s.remoteDemand && s.state == Up && s.remoteState == Up && !s.polling
}

// schedule sets when the next packet is sent, with the jitter of section 6.8.7.
func (s *session) schedule() {
	if s.silent() {
		s.transmit.Stop()
		s.due = false
		return
	}
	most, least := 1.0, 0.75
	if s.config.Multiplier == 1 {
		most = 0.9
	}
	wait := float64(s.interval()) * (least + rand.Float64()*(most-least))
	s.transmit.Reset(time.Duration(wait))
	s.due = true
}

// sendPacket sends a packet; final says that it answers a poll, when it does not poll
// itself (section 6.5).
func (s *session) sendPacket(final bool) {
	s.send(Packet{
		Diagnostic: s.diagnostic, State: s.state, Poll: s.polling && !final, Final: final, Multiplier: s.config.Multiplier,
		MyDiscriminator: s.local, YourDiscriminator: s.remote, DesiredMinTx: s.desiredMinTx(), RequiredMinRx: s.config.MinRx,
	})
}
