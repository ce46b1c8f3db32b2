package notify

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"weir/conf"
)

// mail is what a mail tells: its subject, without the director's name, and its one line.
type mail struct {
	subject, body string
}

// letter is a mail as it was to be sent when it was written.
type letter struct {
	mail
	relay  relay
	at     time.Time
	router string
	to     []string
}

// relay is the server that takes mails, and what is said to it.
type relay struct {
	addr    conf.HostPort
	timeout time.Duration
	helo    string
	from    string
}

// mailer sends mails one after the other.
type mailer struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	relay   relay
	router  string
	to      []string
	queue   []letter
	busy    bool // one is being sent
	dropped int
	wake    chan struct{}
	waiting []chan struct{} // to be closed when all are sent
}

const (
	// mostMails bounds the mails that wait: then the oldest are dropped.
	mostMails = 256
	// mailTries is how often a mail is tried, and mailAgain how long the second try waits; each
	// further one waits twice as long.
	mailTries = 4
	mailAgain = 5 * time.Second
	// The bounds of keepalived's buffers.
	mostSubject, mostBody = 255, 511
)

func newMailer(log *slog.Logger) *mailer { return &mailer{log: log, wake: make(chan struct{}, 1)} }

// set has mails that come from now on be sent as this configuration says.
func (m *mailer) set(g *conf.Global) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.relay = relay{g.SMTPServer, g.SMTPConnectTimeout, g.SMTPHelo, g.EmailFrom}
	m.router, m.to = g.RouterID, g.NotificationEmail
	if m.router == "" {
		m.router = host
	}
	if m.relay.helo == "" {
		m.relay.helo = host
	}
	if m.relay.from == "" {
		name := "root"
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
		m.relay.from = name + "@" + host
	}
}

// add has a mail sent, where the configuration names a relay and somebody to get it.
func (m *mailer) add(what mail) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.relay.addr.Host == "" || len(m.to) == 0 {
		return
	}
	if len(m.queue) == mostMails {
		m.queue = append(m.queue[:0], m.queue[1:]...)
		if m.dropped++; m.dropped == 1 {
			m.log.Warn("mails come faster than the relay takes them: the oldest are dropped", "waiting", mostMails)
		}
	}
	m.queue = append(m.queue, letter{what, m.relay, time.Now(), m.router, m.to})
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run sends mails until ctx ends.
func (m *mailer) run(ctx context.Context) {
	for {
		next, ok := m.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-m.wake:
			}
			continue
		}
		m.send(ctx, next)
		if ctx.Err() != nil {
			return
		}
	}
}

// next is the oldest mail that waits.
func (m *mailer) next() (next letter, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy = len(m.queue) > 0; !m.busy {
		m.dropped = 0
		for _, w := range m.waiting {
			close(w)
		}
		m.waiting = nil
		return letter{}, false
	}
	next, m.queue = m.queue[0], m.queue[1:]
	return next, true
}

// idle is closed when all mails are sent.
func (m *mailer) idle() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := make(chan struct{})
	if len(m.queue) == 0 && !m.busy {
		close(c)
	} else {
		m.waiting = append(m.waiting, c)
	}
	return c
}

// send sends a mail, and tries again where the relay does not take it.
func (m *mailer) send(ctx context.Context, l letter) {
	wait := mailAgain
	for try := 1; ; try++ {
		err := l.relay.send(ctx, l.to, l.text())
		if err == nil || ctx.Err() != nil {
			return
		}
		if try == mailTries {
			m.log.Warn("a mail is dropped: the relay does not take it", "relay", l.relay.addr.Host, "subject", l.title(), "tries", try, "error", err)
			return
		}
		if try == 1 {
			m.log.Warn("the mail relay does not take a mail, trying again", "relay", l.relay.addr.Host, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// title is the mail's subject.
func (l *letter) title() string { return cut(fmt.Sprintf("[%s] %s", l.router, l.subject), mostSubject) }

// text is the mail with its headers (RFC 5322), its lines ended by \n.
func (l *letter) text() string {
	return fmt.Sprintf("Date: %s\nFrom: %s\nSubject: %s\nX-Mailer: Keepalived\nTo: %s\n\n%s\n\n",
		l.at.Format("Mon, 02 Jan 2006 15:04:05 -0700"), line(l.relay.from), l.title(), recipients(l.to), cut(l.body, mostBody))
}

// recipients is the value of To: in one line, as keepalived has it, while a line may be so long.
func recipients(to []string) (value string) {
	const most = 900 // RFC 5322 has 998 bytes
	length := 0
	for i, one := range to {
		one = line(one)
		switch length += len(one) + len(", "); {
		case i == 0:
		case length > most:
			value += ",\n "
			length = len(one)
		default:
			value += ", "
		}
		value += one
	}
	return value
}

// cut is a text as one line of at most so many bytes.
func cut(s string, most int) string {
	s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	return s[:min(len(s), most)]
}

// line is a header's value without line ends, which would begin another header.
func line(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }
