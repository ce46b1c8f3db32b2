package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/test/conformance"
)

// director is a load balancer in a namespace, controlled by commands of ipvsadm.
type director interface {
	// step carries out ipvsadm, mark, sysctl, save or restore, and returns its output.
	step(words []string) (string, error)
	// stop removes everything that the director has set up.
	stop() error
}

// player is the state of a scenario that is played.
type player struct {
	*servers
	director
	out  strings.Builder
	held []*heldConn
	port uint16 // the source port of the next client
}

type heldConn struct {
	*net.TCPConn
	from, to netip.AddrPort
}

// play plays a scenario in the namespace of a new director. It returns the transcript: the
// steps, and under each its outcome.
func (s *servers) play(ns, text string, start func(ns string) (director, error)) (transcript string, err error) {
	steps, err := conformance.Parse(text)
	if err != nil {
		return "", err
	}
	if err := addDirector(ns); err != nil {
		return "", err
	}
	d, err := start(ns)
	if err != nil {
		return "", err
	}
	p := &player{servers: s, director: d, port: 20001}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			p.out.WriteString(line)
		}
	}
	for _, step := range steps {
		fmt.Fprintln(&p.out, "$", strings.Join(step.Words, " "))
		if err := p.do(step); err != nil {
			return "", fmt.Errorf("line %d: %w", step.Line, err)
		}
	}
	for _, c := range p.held {
		if c.TCPConn != nil {
			_ = c.SetLinger(0) // the server may have closed it
			c.Close()
		}
	}
	s.abort()
	if err := d.stop(); err != nil {
		return "", err
	}
	return p.out.String(), unplug(ns)
}

func (p *player) do(step conformance.Step) error {
	words := step.Words
	switch words[0] {
	case "ipvsadm", "mark", "sysctl", "save", "restore":
		out, err := p.step(words)
		p.out.WriteString(out)
		return err
	case "tcp", "udp":
		return p.while(step.Meanwhile(), func() error { return in("cl", func() error { return p.traffic(words) }) })
	case "syn":
		return in("cl", func() error { return sendSYNs(words) })
	case "close", "reset":
		p.close(words[1], words[0] == "reset")
		return nil
	case "echo":
		p.echo()
		return nil
	case "sleep":
		seconds, err := strconv.Atoi(words[1])
		time.Sleep(time.Duration(seconds) * time.Second)
		return err
	}
	return fmt.Errorf("step %q is not known", words[0])
}

// while does something, and carries out commands of ipvsadm meanwhile.
func (p *player) while(commands [][]string, do func() error) error {
	done := make(chan error)
	go func() {
		for _, words := range commands {
			if out, err := p.step(words); err != nil || out != "" {
				done <- fmt.Errorf("%s: %q, %w", strings.Join(words, " "), out, err)
				return
			}
		}
		done <- nil
	}()
	return errors.Join(do(), <-done)
}

// word is the word that follows this one, or a default where this one is missing.
func word(words []string, name, otherwise string) string {
	if i := slices.Index(words, name); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return otherwise
}

// traffic carries out "tcp N [from A..B] [to A..B:PORT] [sport P] [hold] [same] [rst]".
func (p *player) traffic(words []string) error {
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	to := word(words, "to", "10.0.1.100:80")
	cut := strings.LastIndex(to, ":")
	port, err := strconv.ParseUint(to[cut+1:], 10, 16)
	if err != nil {
		return err
	}
	targets, err := addresses(strings.Trim(to[:cut], "[]"))
	if err != nil {
		return err
	}
	from := map[bool]string{true: "10.9.0.1", false: "fd00:9::1"}[targets[0].Is4()]
	sources, err := addresses(word(words, "from", from))
	if err != nil {
		return err
	}
	if first := word(words, "sport", ""); first != "" {
		sport, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return err
		}
		p.port = uint16(sport)
	}
	for _, source := range sources {
		for _, target := range targets {
			if err := p.flow(words, n, source, netip.AddrPortFrom(target, uint16(port))); err != nil {
				return err
			}
		}
	}
	return nil
}

// addresses reads "A" or "A..B".
func addresses(s string) (all []netip.Addr, err error) {
	first, last, more := strings.Cut(s, "..")
	a, err := netip.ParseAddr(first)
	if err != nil || !more {
		return []netip.Addr{a}, err
	}
	end, err := netip.ParseAddr(last)
	for ; err == nil && a.Compare(end) <= 0; a = a.Next() {
		all = append(all, a)
	}
	return all, err
}

// flow is n connections from one address to another.
func (p *player) flow(words []string, n int, source netip.Addr, to netip.AddrPort) error {
	same := slices.Contains(words, "same")
	fmt.Fprintf(&p.out, "%s -> %s", netip.AddrPortFrom(source, p.port), to)
	var one net.Conn
	for range n {
		from := netip.AddrPortFrom(source, p.port)
		if words[0] == "tcp" {
			p.out.WriteString(" " + p.connect(from, to, slices.Contains(words, "hold"), slices.Contains(words, "rst")))
		} else {
			if one == nil {
				c, err := dialUDP(from, to)
				if err != nil {
					return err
				}
				one = c
			}
			p.out.WriteString(" " + ask(one, from, to))
			if !same {
				one.Close()
				one = nil
			}
		}
		if !same {
			p.port++
		}
	}
	if one != nil {
		one.Close()
	}
	if same {
		p.port++
	}
	p.out.WriteString("\n")
	return nil
}

func (p *player) connect(from, to netip.AddrPort, hold, rst bool) string {
	before := p.open.Load()
	c, who := dial(from, to)
	switch {
	case c == nil:
		// IPVS ends a closed connection whose port is used again by a timer, which
		// has room for the next client only then.
		time.Sleep(20 * time.Millisecond)
	case hold:
		p.held = append(p.held, &heldConn{c, from, to})
	default:
		p.finish(c, rst, before)
	}
	return who
}

// finish closes a connection, and waits until the server has closed it, too, and the last
// packets have passed the director.
func (p *player) finish(c *net.TCPConn, rst bool, left int64) {
	// An error here means that the connection has already ended.
	if rst {
		_ = c.SetLinger(0)
	} else if c.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, _ = c.Read(make([]byte, 1)) // until the server's end
	}
	c.Close()
	p.settle(left)
	time.Sleep(5 * time.Millisecond)
}

// close closes held connections by number: "1,3-5" or "all".
func (p *player) close(list string, rst bool) {
	for i, c := range p.held {
		if c.TCPConn != nil && named(list, i+1) {
			p.finish(c.TCPConn, rst, p.open.Load()-1)
			c.TCPConn = nil
		}
	}
}

func named(list string, n int) bool {
	for part := range strings.SplitSeq(list, ",") {
		first, last, more := strings.Cut(part, "-")
		low, _ := strconv.Atoi(first)
		high, _ := strconv.Atoi(last)
		if part == "all" || n == low || more && low <= n && n <= high {
			return true
		}
	}
	return false
}

// echo sends a line on each held connection and returns who answers now.
func (p *player) echo() {
	var all []string
	for i, c := range p.held {
		if c.TCPConn != nil {
			all = append(all, fmt.Sprintf("%d:%s", i+1, ask(c, c.from, c.to)))
		}
	}
	fmt.Fprintln(&p.out, strings.Join(all, " "))
}
