package check_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
)

// smtpd is a mail server of the server of a pair, OpenSMTPD, on port 25.
func (p pair) smtpd(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	file := write(t, dir, "smtpd.conf", "listen on 0.0.0.0 hostname mail.example.org\nlisten on :: hostname mail.example.org\naction \"deliver\" maildir\nmatch for local action \"deliver\"\n")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return p.serve(t, "smtpd", "-d", "-f", filepath.Clean(file))
}

// A mail server that answers, stops, starts again, and falls silent.
func TestSMTP(t *testing.T) {
	for _, server := range []string{serverIP, serverIP6} {
		t.Run(server, func(t *testing.T) {
			p := newPair(t)
			smtpd := p.smtpd(t)
			w := p.watch(t, checkOf(t, conf.CheckSMTP, server+" 25", "connect_timeout 0.5\nhelo_name weir.example.org"))
			w.up()
			w.change(smtpd.stop)
			w.down("connection refused")
			smtpd.start()
			w.up()
			w.change(func() { p.server.IP("link", "set", "ens160", "down") })
			w.down("no answer within 500ms")
		})
	}
}

// Mail servers that are broken, or mean harm, and some that are only unusual.
func TestSMTPAnswers(t *testing.T) {
	then := func(answers ...string) func(net.Conn) {
		return func(c net.Conn) {
			room := make([]byte, 512)
			for i, answer := range answers {
				if i > 0 {
					if _, err := c.Read(room); err != nil {
						return
					}
				}
				say(answer)(c)
			}
		}
	}
	for _, tt := range []struct {
		name string
		do   func(net.Conn)
		want string
	}{
		{"good", then("220 hello\r\n", "250 you\r\n", "221 bye\r\n"), ""},
		{"several lines", then("220-hello\r\n220-world\r\n220 end\r\n", "250-you\r\n250 there\r\n", "221 bye\r\n"), ""},
		{"no text", then("220\r\n", "250\r\n", "221\r\n"), ""},
		{"LF alone", then("220 hello\n", "250 you\n", "bye\n"), ""},
		{"busy", then("421 busy\r\n"), `greeting: "421 busy", expected 220`},
		{"HELO refused", then("220 hello\r\n", "554 go away\r\n"), `HELO: "554 go away", expected 250`},
		{"no status", then("hello\r\n"), `greeting: "hello", expected 220`},
		{"closes", then(), "greeting: the server closed the connection without an answer"},
		{"closes behind the greeting", then("220 hello\r\n"), "HELO: "},
		{"half-closed", halfClose(""), "greeting: the server closed the connection without an answer"},
		{"half-closed behind the greeting", halfClose("220 hello\r\n"), "HELO: the server closed the connection without an answer"},
		{"half a line", halfClose("220"), "greeting: the server closed the connection without an answer"},
		{"zeros", flood("", "\x00"), "greeting: the answer has a line of more than 1024 bytes"},
		{"web", say("HTTP/1.0 200 OK\r\n\r\n"), `greeting: "HTTP/1.0 200 OK", expected 220`},
		{"silent", stay(""), "greeting: no answer within 300ms"},
		{"silent behind the greeting", stay("220 hello\r\n"), "HELO: no answer within 300ms"},
		{"endless lines", flood("", "220-hello\r\n"), "greeting: "},
		{"an endless line", flood("220 ", "hello"), "greeting: the answer has a line of more than 1024 bytes"},
		{"byte by byte", drip("", "220-hello\r\n"), "greeting: no answer within 300ms"},
		{"a reset", func(c net.Conn) { say("220 hello\r\n")(c); time.Sleep(20 * time.Millisecond); reset(c) }, "HELO: "},
	} {
		err := against(t, conf.CheckSMTP, hostile{do: tt.do, want: tt.want}, func(c net.Conn) net.Conn { return c })
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// The name is that of helo_name.
func TestSMTPHelo(t *testing.T) {
	heard := make(chan string, 1)
	err := against(t, conf.CheckSMTP, hostile{do: func(c net.Conn) {
		say("220 hello\r\n")(c)
		room := make([]byte, 512)
		n, _ := c.Read(room)
		heard <- string(room[:n])
	}}, func(c net.Conn) net.Conn { return c })
	if got := <-heard; got != "HELO smtpchecker.keepalived.org\r\n" || err == nil {
		t.Errorf("the server heard %q, the check got %v", got, err)
	}
	c := checkOf(t, conf.CheckSMTP, "192.0.2.2 25", "helo_name weir.example.org").(check.SMTP)
	if c.Helo != "weir.example.org" {
		t.Errorf("helo_name is %q", c.Helo)
	}
}
