package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"weir/conf"
)

// SMTP is SMTP_CHECK: the server is up when it greets, takes HELO, and answers QUIT.
type SMTP struct {
	Endpoint
	// Helo is the name in HELO.
	Helo string
}

func newSMTP(c conf.Check, _ *Shared) Checker { return SMTP{endpointOf(c), c.SMTP.Helo} }

func (c SMTP) String() string { return string(conf.CheckSMTP) + " " + c.Target.String() }

// smtpSteps are the dialogue: what is said, and the status of the answer; 0 is any.
var smtpSteps = []struct {
	name, say string
	status    int
}{
	{"greeting", "", 220},
	{"HELO", "HELO %s\r\n", 250},
	{"QUIT", "QUIT\r\n", 0},
}

// Check has the server the time-out to connect, and for each of its answers. It leaves the
// weight as it is. The errors are those of Endpoint.reason, behind the step: "HELO: 421
// busy, expected 250".
func (c SMTP) Check(ctx context.Context) (Weight, error) {
	conn, err := c.dial(ctx, "tcp")
	if err != nil {
		return Weight{}, err
	}
	defer c.hangUp(conn)
	// Lines are no longer than 512 bytes (RFC 5321, 4.5.3.1.5), and few.
	answers := bufio.NewReaderSize(io.LimitReader(conn, maxSMTP), 1024)
	for _, step := range smtpSteps {
		say := step.say
		if strings.Contains(say, "%s") {
			say = fmt.Sprintf(say, c.Helo)
		}
		if err := c.step(ctx, conn, answers, say, step.status); err != nil {
			return Weight{}, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return Weight{}, nil
}

// maxSMTP is more than the answers of a mail server have, in bytes.
const maxSMTP = 64 << 10

// step says something and reads the answer.
func (c SMTP) step(ctx context.Context, conn net.Conn, answers *bufio.Reader, say string, status int) error {
	release, err := bound(ctx, conn, c.deadline())
	if err != nil {
		return c.reason(ctx, err)
	}
	defer release()
	if _, err := io.WriteString(conn, say); err != nil {
		return c.reason(ctx, err)
	}
	line, err := lastLine(answers)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the server closed the connection without an answer")
	case err != nil:
		return c.reason(ctx, err)
	case status != 0 && smtpStatus(line) != status:
		return fmt.Errorf("%.80q, expected %d", line, status)
	}
	return nil
}

// lastLine reads an answer of one line or several, of which all but the last have a -
// behind the status (RFC 5321, 4.2.1).
func lastLine(r *bufio.Reader) (string, error) {
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("the answer has a line of more than %d bytes", r.Size())
		}
		if err != nil {
			return "", err
		}
		if text := strings.TrimRight(string(line), "\r\n"); len(text) < 4 || text[3] != '-' {
			return text, nil
		}
	}
}

// smtpStatus is the status of a line, -1 where it has none.
func smtpStatus(line string) int {
	digits, _, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(digits)
	if err != nil || len(digits) != 3 {
		return -1
	}
	return status
}
