package check

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"

	"weir/conf"
)

// UDP is UDP_CHECK: the server is up when it does not refuse a datagram or, with Reply,
// when it answers as it has to.
type UDP struct {
	Endpoint
	// Payload is what is sent.
	Payload []byte
	// Reply is what the answer has to be like; nil where none is needed.
	Reply *Reply
}

// Reply is what the answer to a datagram has to be like.
type Reply struct {
	// Pattern is how the answer begins, as far as it goes. A bit that is set in Any is
	// not compared; Any is as long as Pattern.
	Pattern, Any []byte
	// MinLength and MaxLength bound the answer's length in bytes.
	MinLength, MaxLength int
}

// defaultPayload is what is sent where the configuration does not say: as many bytes as
// keepalived sends.
const defaultPayload = "weir check - weir check - weir c"

// keepalived's default of max_reply_length.
const defaultMaxReply = 255

func newUDP(c conf.Check, _ *Shared) Checker {
	u := UDP{Endpoint: endpointOf(c), Payload: bytesOf(c.UDP.Payload)}
	if len(u.Payload) == 0 {
		u.Payload = []byte(defaultPayload)
	}
	if !c.UDP.RequireReply {
		return u
	}
	u.Reply = &Reply{MinLength: c.UDP.MinLength, MaxLength: c.UDP.MaxLength}
	u.Reply.Pattern, u.Reply.Any = patternOf(c.UDP.Reply)
	if len(u.Reply.Pattern) == 0 && c.UDP.MaxLength == defaultMaxReply {
		// keepalived compares no lengths where there is no pattern.
		u.Reply.MaxLength = maxDatagram
	}
	return u
}

// bytesOf are the bytes of hexadecimal digits, of which conf has read an even number.
func bytesOf(digits string) []byte {
	b, _ := hex.DecodeString(digits)
	return b
}

// patternOf splits hexadecimal digits and X, which is any, into bytes and the bits of them
// that are not compared.
func patternOf(digits string) (pattern, any []byte) {
	value, mask := []byte(digits), []byte(digits)
	for i, c := range value {
		mask[i] = '0'
		if c == 'x' || c == 'X' {
			value[i], mask[i] = '0', 'f'
		}
	}
	return bytesOf(string(value)), bytesOf(string(mask))
}

func (c UDP) String() string { return string(conf.CheckUDP) + " " + c.Target.String() }

// maxDatagram is more than a datagram can hold.
const maxDatagram = 65536

// Check sends one datagram and waits for the answer, or for an error from the network.
// No answer within the time-out is good, unless Reply is set. It leaves the weight as it is.
func (c UDP) Check(ctx context.Context) (Weight, error) {
	conn, err := c.dial(ctx, "udp")
	if err != nil {
		return Weight{}, err
	}
	defer conn.Close()
	answer, err := c.ask(ctx, conn)
	switch {
	case err == nil && c.Reply != nil:
		return Weight{}, c.Reply.fits(answer)
	case err == nil, ctx.Err() == nil && c.Reply == nil && isTimeout(err):
		return Weight{}, nil
	}
	return Weight{}, c.reason(ctx, err)
}

// ask sends the datagram, and returns as much of the answer as is looked at.
func (c UDP) ask(ctx context.Context, conn net.Conn) ([]byte, error) {
	release, err := bound(ctx, conn, c.deadline())
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := conn.Write(c.Payload); err != nil {
		return nil, err
	}
	room := make([]byte, c.Reply.room())
	n, err := conn.Read(room)
	return room[:n], err
}

// room is how much of an answer is looked at: a byte more than it may have.
func (r *Reply) room() int {
	switch {
	case r == nil:
		return 1
	case r.MaxLength == maxDatagram:
		return max(r.MinLength, len(r.Pattern), 1)
	}
	return r.MaxLength + 1
}

// fits says why an answer is not as it has to be. One that is shorter than the pattern is
// compared as far as it goes, as keepalived does it (check_udp.c, check_udp_reply).
func (r *Reply) fits(answer []byte) error {
	switch n := len(answer); {
	case n < r.MinLength:
		return fmt.Errorf("the answer has %d bytes, fewer than %d", n, r.MinLength)
	case n > r.MaxLength:
		return fmt.Errorf("the answer has more than %d bytes", r.MaxLength)
	}
	for i := range min(len(answer), len(r.Pattern)) {
		if (answer[i]^r.Pattern[i])&^r.Any[i] != 0 {
			return fmt.Errorf("byte %d of the answer is %02x, not as require_reply has it", i, answer[i])
		}
	}
	return nil
}
