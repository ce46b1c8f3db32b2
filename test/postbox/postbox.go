// Package postbox is a mail relay for tests: it takes what it is sent, and keeps all that was said.
package postbox

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Box keeps letters, each with the commands that it came by.
type Box struct {
	mu      sync.Mutex
	letters []string
}

// Serve takes letters from connections until the listener is closed.
func (b *Box) Serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b.take(c)
		}()
	}
}

// take speaks SMTP (RFC 5321) with one who has letters; one that is not whole is not kept.
func (b *Box) take(c net.Conn) {
	say := func(answer string) { fmt.Fprintf(c, "%s\r\n", answer) }
	say("220 postbox")
	said, inside := "", false
	for lines := bufio.NewReader(c); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		said += line
		word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch {
		case inside && line == ".\r\n":
			inside = false
			b.keep(said)
			say("250 taken")
		case inside:
		case word == "DATA":
			inside = true
			say("354 go on")
		case word == "QUIT":
			say("221 bye")
			return
		default:
			say("250 yes")
		}
	}
}

// date is the header that no two letters share.
var date = regexp.MustCompile(`(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r`)

func (b *Box) keep(letter string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, date.ReplaceAllString(letter, "Date: NOW\r"))
}

// Letters lists what has come so far, each from HELO to its last line, in the order of the
// alphabet: keepalived sends several at once. A well-formed date is replaced by NOW.
func (b *Box) Letters() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(slices.Values(b.letters))
}
