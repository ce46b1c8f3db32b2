package check

import (
	"context"
	"net"

	"weir/conf"
)

// TCP is TCP_CHECK: the server is up when it accepts a connection.
type TCP struct{ Endpoint }

func newTCP(c conf.Check, _ *Shared) Checker { return TCP{endpointOf(c)} }

func (c TCP) String() string { return string(conf.CheckTCP) + " " + c.Target.String() }

// Check connects, and closes at once. The error is that of Endpoint.reason. It leaves the
// weight as it is.
func (c TCP) Check(ctx context.Context) (Weight, error) {
	conn, err := c.dial(ctx, "tcp")
	if err != nil {
		return Weight{}, err
	}
	c.hangUp(conn)
	return Weight{}, nil
}

// hangUp ends a TCP connection by a FIN, so that the server does not log a reset for each
// check. A fixed source port would then stay in TIME_WAIT, and the next check could not
// use it for a minute: there, a reset frees the port.
func (e Endpoint) hangUp(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok && e.Bind.Port() != 0 {
		// Where this fails, the connection is closed by a FIN; the next check then
		// reports that it cannot bind.
		_ = tcp.SetLinger(0)
	}
	// What the server had to answer is known: an error of the close says nothing about it.
	_ = conn.Close()
}
