package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is that of a session (RFC 5880 section 4.1).
type State uint8

// The states, by their numbers in packets.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

func (s State) String() string {
	return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3]
}

// Diagnostic is why a session went down last (RFC 5880 section 4.1).
type Diagnostic uint8

// The diagnostics that weir sends.
const (
	NoDiagnostic           Diagnostic = 0
	DetectionTimeExpired   Diagnostic = 1
	NeighborSignaledDown   Diagnostic = 3
	lastKnownDiagnostic               = 8
	packetLength                      = 24 // bytes, of a packet without authentication
	version                           = 1
	authenticatedLengthMin            = packetLength + 2
)

func (d Diagnostic) String() string {
	names := [...]string{
		"no diagnostic", "control detection time expired", "echo function failed", "neighbor signaled session down",
		"forwarding plane reset", "path down", "concatenated path down", "administratively down", "reverse concatenated path down",
	}
	if d > lastKnownDiagnostic {
		return fmt.Sprintf("diagnostic %d", uint8(d))
	}
	return names[d]
}

// Packet is a BFD control packet without authentication (RFC 5880 section 4.1). On the
// wire its numbers are in network byte order, its times in microseconds.
type Packet struct {
	Diagnostic                  Diagnostic
	State                       State
	Poll, Final                 bool
	ControlPlaneIndependent     bool
	Demand                      bool
	Multiplier                  uint8
	MyDiscriminator             uint32
	YourDiscriminator           uint32
	DesiredMinTx, RequiredMinRx time.Duration // 0 to 2³²−1 microseconds
	RequiredMinEchoRx           time.Duration
}

// The bits of a packet's second byte, beside the state.
const (
	bitPoll        = 1 << 5
	bitFinal       = 1 << 4
	bitIndependent = 1 << 3
	bitAuth        = 1 << 2
	bitDemand      = 1 << 1
	bitMultipoint  = 1 << 0
)

// MarshalBinary makes the packet's 24 bytes. Times are cut to whole microseconds; it fails
// for one that does not fit.
func (p Packet) MarshalBinary() ([]byte, error) {
	b := make([]byte, packetLength)
	b[0] = version<<5 | byte(p.Diagnostic)&0x1f
	b[1] = byte(p.State)<<6 | bit(p.Poll, bitPoll) | bit(p.Final, bitFinal) | bit(p.ControlPlaneIndependent, bitIndependent) | bit(p.Demand, bitDemand)
	b[2], b[3] = p.Multiplier, packetLength
	binary.BigEndian.PutUint32(b[4:], p.MyDiscriminator)
	binary.BigEndian.PutUint32(b[8:], p.YourDiscriminator)
	for i, d := range []time.Duration{p.DesiredMinTx, p.RequiredMinRx, p.RequiredMinEchoRx} {
		us := d.Microseconds()
		if us < 0 || us > 1<<32-1 {
			return nil, fmt.Errorf("a time of %s does not fit into a BFD packet", d)
		}
		binary.BigEndian.PutUint32(b[12+4*i:], uint32(us))
	}
	return b, nil
}

func bit(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// Why a packet is dropped (RFC 5880 section 6.8.6).
var (
	errShort         = errors.New("packet is too short")
	errVersion       = errors.New("packet is not of BFD version 1")
	errLength        = errors.New("packet's length is wrong")
	errMultiplier    = errors.New("packet's multiplier is 0")
	errMultipoint    = errors.New("packet is multipoint")
	errDiscriminator = errors.New("packet's discriminator is 0")
	errYours         = errors.New("packet of a session that is Init or Up does not say whose")
	errAuth          = errors.New("packet is authenticated")
	errPollFinal     = errors.New("packet polls and answers a poll at once")
)

// UnmarshalBinary reads a packet and refuses one that RFC 5880 section 6.8.6 has dropped
// before its session is looked for. Bytes behind the packet's own length do not count. The
// errors are those above.
func (p *Packet) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) < packetLength:
		return errShort
	case b[0]>>5 != version:
		return errVersion
	case b[1]&bitAuth != 0 && b[3] < authenticatedLengthMin, b[3] < packetLength, int(b[3]) > len(b):
		return errLength
	case b[2] == 0:
		return errMultiplier
	case b[1]&bitMultipoint != 0:
		return errMultipoint
	case b[1]&bitAuth != 0:
		return errAuth
	case b[1]&bitPoll != 0 && b[1]&bitFinal != 0:
		return errPollFinal
	}
	us := func(at int) time.Duration { return time.Duration(binary.BigEndian.Uint32(b[at:])) * time.Microsecond }
	*p = Packet{
		Diagnostic: Diagnostic(b[0] & 0x1f), State: State(b[1] >> 6), Poll: b[1]&bitPoll != 0, Final: b[1]&bitFinal != 0,
		ControlPlaneIndependent: b[1]&bitIndependent != 0, Demand: b[1]&bitDemand != 0, Multiplier: b[2],
		MyDiscriminator: binary.BigEndian.Uint32(b[4:]), YourDiscriminator: binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: us(12), RequiredMinRx: us(16), RequiredMinEchoRx: us(20),
	}
	switch {
	case p.MyDiscriminator == 0:
		return errDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return errYours
	}
	return nil
}
