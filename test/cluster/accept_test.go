package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// A master with no_accept serves clients, itself as a server among them, and answers nothing
// else that is sent to its VIPs. Its own address answers.
func TestNoAccept(t *testing.T) {
	for _, tt := range []struct{ kind, hook string }{{"DR", "tc"}, {"DR", "native"}, {"NAT", "generic"}} {
		t.Run(tt.kind+" "+tt.hook, func(t *testing.T) {
			t.Parallel()
			c := buildPair(t, "no_accept", tt.kind, tt.hook)
			c.must(c.Start(c.within(2 * time.Minute)))
			c.waitState(c.node01, time.Time{}, model.Master, 30*time.Second)
			c.waitAnswer()
			c.waitHeard(c.node01)
			c.wantServed(t, "no_accept")
			for _, w := range []struct {
				to      string
				answers bool
			}{{"192.168.25.31", true}, {"192.168.25.100", false}, {"192.168.25.101", false}} {
				for _, size := range []int{56, 4000} { // in one packet, in fragments
					if got := pings(t, c.Client(), w.to, size, w.answers); got != w.answers {
						t.Errorf("an echo of %d bytes to %s is answered: %v, want %v", size, w.to, got, w.answers)
					}
				}
				if got := refused(t, c.Client(), w.to+":81"); got != w.answers {
					t.Errorf("a connection to port 81 of %s is refused: %v, want %v", w.to, got, w.answers)
				}
			}
			accepts := strings.Replace(c.node01.Spec.Config, "no_accept", "accept", 1)
			c.must(os.WriteFile(c.node01.ConfigFile(), []byte(accepts), 0o644))
			c.mustVerb(c.node01, "reload")
			if !pings(t, c.Client(), "192.168.25.100", 56, true) {
				t.Error("an echo is not answered after a reload to accept")
			}
		})
	}
}

// pings says whether an echo of some bytes is answered, within 30 s where it is to be.
func pings(t *testing.T, ns *lab.Namespace, to string, size int, want bool) bool {
	t.Helper()
	var conn net.PacketConn
	err := ns.Do(func() (err error) {
		conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	question := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Data: make([]byte, size)}}
	packet, err := question.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	tries := 6
	if want {
		tries = 100
	}
	for b := make([]byte, 65536); tries > 0; tries-- {
		if _, err := conn.WriteTo(packet, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
			continue
		}
		for conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				break
			}
			if from.String() == to && n == len(packet) && b[0] == byte(ipv4.ICMPTypeEchoReply) {
				return true
			}
		}
	}
	return false
}

// refused says whether a connection is refused; otherwise it gets no answer.
func refused(t *testing.T, ns *lab.Namespace, to string) bool {
	t.Helper()
	err := ns.Do(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp4", to)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err == nil {
		t.Errorf("somebody takes connections at %s", to)
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
