package notify

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// send hands a mail to the relay (RFC 5321): HELO, MAIL, RCPT for each, DATA, QUIT, as
// keepalived does, each answer within the time-out. The error says which command was refused.
func (r relay) send(ctx context.Context, to []string, text string) error {
	dialer := net.Dialer{Timeout: r.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.addr.Host, strconv.Itoa(int(r.addr.Port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	peer := textproto.NewConn(conn)
	step := func(what string, code int, format string, args ...any) error {
		if err := conn.SetDeadline(time.Now().Add(r.timeout)); err != nil {
			return err
		}
		if format != "" {
			if err := peer.PrintfLine(format, args...); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		if _, _, err := peer.ReadResponse(code); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
	if err := step("greeting", 220, ""); err != nil {
		return err
	}
	if err := step("HELO", 250, "HELO %s", r.helo); err != nil {
		return err
	}
	if err := step("MAIL", 250, "MAIL FROM:%s", mailbox(r.from)); err != nil {
		return err
	}
	for _, one := range to {
		if err := step("RCPT", 250, "RCPT TO:%s", mailbox(one)); err != nil {
			return err
		}
	}
	if err := step("DATA", 354, "DATA"); err != nil {
		return err
	}
	body := peer.DotWriter()
	if _, err := body.Write([]byte(text)); err != nil {
		return fmt.Errorf("the mail: %w", err)
	}
	if err := body.Close(); err != nil {
		return fmt.Errorf("the mail: %w", err)
	}
	if err := step("the mail", 250, ""); err != nil {
		return err
	}
	_ = step("QUIT", 221, "QUIT") // the mail has been taken
	return nil
}

// mailbox is an address in angle brackets, taken out of "Name <address>" where it is so.
func mailbox(address string) string {
	address = strings.NewReplacer("\r", "", "\n", "").Replace(address)
	if at := strings.LastIndexByte(address, '<'); at >= 0 && strings.HasSuffix(address, ">") {
		return address[at:]
	}
	return "<" + address + ">"
}
