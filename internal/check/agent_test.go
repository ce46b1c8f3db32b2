package check

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"weir/conf"
)

// answering is an agent that answers each connection by a function.
func answering(t *testing.T, answer func(net.Conn)) *Agent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	c := conf.Check{Kind: conf.CheckAgent, Connect: l.Addr().(*net.TCPAddr).AddrPort(), Agent: &conf.AgentQuestion{}}
	c.ConnectTimeout = 30 * time.Second
	return newAgent(c, nil).(*Agent)
}

func say(line string) func(net.Conn) {
	return func(c net.Conn) { _, _ = c.Write([]byte(line)) }
}

// silence waits until the other end goes away.
func silence(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

// An agent that does not answer as it should leaves what it said before, and what is amiss is
// told. The patience is short where the time-out is what is asked for.
func TestAgentThatMisbehaves(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(net.Conn)
		late   bool // waits for the time-out
		amiss  string
	}{
		{"closes", func(net.Conn) {}, false, "it closes the connection without an answer"},
		{"silent", silence, true, "no answer within 50ms"},
		{"no end of the line", func(c net.Conn) { say("down")(c); silence(c) }, true, "no end of its line within 50ms"},
		{"endless", func(c net.Conn) {
			for line := bytes.Repeat([]byte("down "), 1000); ; {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		}, false, "no end of its line within 1024 bytes"},
		{"garbage", say("\x16\x03\x01\x02\n"), false, `"\x16\x03\x01\x02" is no word of agent-check`},
		{"resets", func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }, false, "connection reset by peer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := answering(t, tt.answer)
			if tt.late {
				a.Timeout = 50 * time.Millisecond
			}
			for _, before := range []string{"", "40%", "maint"} {
				was := AgentState{}
				if before != "" {
					was = was.Hear(before)
				}
				a.Resume(was)
				got := AgentOf(a.Check(t.Context()))
				if got.Amiss != tt.amiss {
					t.Errorf("amiss is %q, want %q", got.Amiss, tt.amiss)
				}
				if got.Amiss = ""; got != was {
					t.Errorf("it says %+v by then, want %+v as before", got, was)
				}
			}
		})
	}
}

func TestAgentThatIsNotThere(t *testing.T) {
	a := answering(t, silence)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.Target = l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	w, err := a.Check(t.Context())
	if err != nil || w.Agent.Amiss != "connection refused" {
		t.Errorf("%+v, %v; want the server up, and the agent not to be had", w, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Check(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("%v for a check that is given up, want context.Canceled", err)
	}
}

// The last line needs no end, and an agent may want to be asked first.
func TestAgentSays(t *testing.T) {
	a := answering(t, say("drain 30%"))
	if got := AgentOf(a.Check(t.Context())); got.String() != "drain 30%" || got.Amiss != "" {
		t.Errorf("%+v, want drain and 30%%", got)
	}
	heard := make(chan string, 1)
	a = answering(t, func(c net.Conn) {
		buffer := make([]byte, 100)
		n, _ := c.Read(buffer)
		heard <- string(buffer[:n])
		say("down # by request\n")(c)
	})
	a.Send = "weight of [2001:db8::1]:80?"
	_, err := a.Check(t.Context())
	if asked := <-heard; asked != "weight of [2001:db8::1]:80?\n" {
		t.Errorf("the agent is sent %q", asked)
	}
	if err == nil || !strings.Contains(err.Error(), "its agent says down (by request)") {
		t.Errorf("%v, want the server out by its agent", err)
	}
}

func TestAgentWeights(t *testing.T) {
	for _, tt := range []struct {
		configured, percent, times, want int
	}{
		{100, 75, 1, 75}, {1, 75, 1, 1}, {1, 75, 4, 3}, {1, 1, 1, 1}, {1, 0, 1, 0}, {3, 50, 1, 2}, {3, 50, 2, 3}, {10, 250, 1, 25}, {0, 50, 1, 0},
	} {
		w := Weight{Agent: AgentState{Weighs: true, Percent: tt.percent}}
		if got := tt.configured*tt.times + w.ChangeOf(tt.configured, tt.times); got != tt.want {
			t.Errorf("%d%% of %d × %d is %d, want %d", tt.percent, tt.configured, tt.times, got, tt.want)
		}
	}
}
