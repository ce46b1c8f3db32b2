package cluster

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// agent is a program on a real server that says a line to whoever connects; with an empty
// line it says nothing.
type agent struct{ line atomic.Pointer[string] }

func startAgent(c *cluster, n *lab.Node) *agent {
	a := &agent{}
	a.say("up ready")
	var l net.Listener
	c.must(n.Namespace().Do(func() (err error) {
		l, err = net.Listen("tcp", n.Spec.Addr.Addr().String()+":9000")
		return err
	}))
	c.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if line := *a.line.Load(); line != "" {
				_, _ = conn.Write([]byte(line + "\n"))
				_ = conn.Close()
				continue
			}
			time.AfterFunc(10*time.Second, func() { _ = conn.Close() })
		}
	}()
	return a
}

func (a *agent) say(line string) { a.line.Store(&line) }

// A server's agent has it drained, gives it half a share, takes it out and in again; then it
// falls silent, which changes nothing and is told. Both directors, the standby too, follow it.
func TestAgentCheck(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *lab.ClusterOptions) {
		for i := range o.Nodes {
			o.Nodes[i].Config += "weir {\n service TCP 192.168.25.100 80 {\n agent_check 9000\n agent_inter 0.5\n }\n}\n"
		}
	})
	startAgent(c, c.node01)
	a := startAgent(c, c.node02)
	c.waitFirstChecks()
	server := c.node02.Service()
	for _, step := range []struct {
		line   string
		kind   model.Kind
		detail string // of its event
		one    int    // of 300 requests, what node01 gets
		ls     string
	}{
		{"drain # kernel update", model.RealServerWeight, "why=agent: drain (kernel update)", 300, "agent: drain (kernel update)"},
		{"ready 50%", model.RealServerWeight, "to=1", 150, "agent: 50%"},
		{"maint", model.RealServerDown, "reason=its agent says maint 50%", 300, "agent: maint 50%"},
		{"ready", model.RealServerUp, "state=up", 150, "agent: 50%"},
		{"stopped", model.RealServerDown, "reason=its agent says stopped 50%", 300, "agent: stopped 50%"},
		{"up 100%", model.RealServerUp, "state=up", 100, ""},
		{"", model.RealServerAgent, "amiss=no answer within 500ms", 100, "no word of its agent: no answer within 500ms"},
		{"GET /", model.RealServerAgent, `amiss="GET" is no word of agent-check`, 100, `no word of its agent: "GET" is no word of agent-check`},
	} {
		begun := time.Now()
		a.say(step.line)
		name, value, _ := strings.Cut(step.detail, "=")
		for _, d := range []*lab.Node{c.node01, c.node02} {
			_, err := d.WaitFrom(c.within(30*time.Second), begun, step.line+" is taken in", func(e model.Event) bool {
				return e.Kind == step.kind && e.RealServer == server && e.Detail(name) == value
			})
			c.must(err)
		}
		c.wantSplit(step.one, 300-step.one)
		out, err := c.node01.Exec(c.within(10*time.Second), "ls", "--run-dir", c.node01.RunDir())
		c.must(err)
		c.wantRow(string(out), server, step.ls)
	}
}

// wantRow wants the row of a server to end so.
func (c *cluster) wantRow(table, server, end string) {
	c.t.Helper()
	for line := range strings.Lines(table) {
		if strings.HasPrefix(strings.TrimSpace(line), server+" ") {
			if line = strings.TrimSpace(line); !strings.HasSuffix(line, end) || end == "" && strings.Contains(line, "agent") {
				c.t.Errorf("weir ls: %s; want %q at its end", line, end)
			}
			return
		}
	}
	c.t.Errorf("weir ls has no row of %s:\n%s", server, table)
}
