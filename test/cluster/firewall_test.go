package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
	"weir/internal/netlnk/nstest"
)

const firewall = `table inet filter {
	chain input { type filter hook input priority filter; policy accept; ip saddr 192.168.25.10 counter drop; }
	chain pre { type filter hook prerouting priority raw; policy accept; ip saddr 192.168.25.10 counter drop; }
}
`

// verb runs a verb of weir that asks a node's process.
func (c *cluster) verb(n *lab.Node, args ...string) (string, error) {
	var out []byte
	err := n.Namespace().Do(func() (err error) {
		out, err = exec.Command(executable, append(args, "--run-dir", n.RunDir())...).CombinedOutput()
		return err
	})
	return string(out), err
}

func (c *cluster) mustVerb(n *lab.Node, args ...string) string {
	c.t.Helper()
	out, err := c.verb(n, args...)
	if err != nil {
		c.t.Fatalf("weir %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// dropped says whether the client's requests are dropped, without an answer.
func (c *cluster) dropped() bool {
	c.t.Helper()
	var err error
	c.must(c.Client().Do(func() error {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp4", "192.168.25.100:80", 300*time.Millisecond); err == nil {
			conn.Close()
		}
		return nil
	}))
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// The director's packet filter is not asked, and weir says so, at its start and when that
// changes. Its own rules are: they cut connections, and outlive a reload, a restart and a
// process that dies.
func TestFirewallAndRules(t *testing.T) {
	t.Parallel()
	c := startNAT(t, "wrr", "tc")
	director := c.Node("director")
	for _, n := range []*lab.Node{c.node01, c.node02} {
		c.must(n.StopWeb(c.within(5 * time.Second)))
		c.echo(n)
	}
	mark := time.Now()
	c.must(nft(director.Namespace(), firewall))
	e, err := director.WaitFrom(c.within(20*time.Second), mark, "a word about the firewall", lab.IsKind(model.FirewallUnasked))
	c.must(err)
	if got := e.Detail("chains"); got != "inet filter input, inet filter pre" {
		t.Errorf("told of %q", got)
	}
	if c.dropped() {
		t.Error("the packet filter dropped a request to a service: docs/firewall.md says that it is not asked")
	}

	conn := c.dial()
	defer conn.Close()
	c.must(echoes(conn))
	counted := regexp.MustCompile(`(?m)^connections +[1-9]\d* +65,536 +1,048,576 +[\d.]+ MiB +[\d.]+ MiB$`)
	nstest.WaitFor(t, "weir show tables to count the connection", func() bool { return counted.MatchString(c.mustVerb(director, "show", "tables")) })
	c.mustVerb(director, "deny", "192.168.25.10", "--for", "1h")
	c.must(conn.SetDeadline(time.Now().Add(500 * time.Millisecond)))
	if err := echoes(conn); err == nil {
		t.Error("a connection goes on after its client was denied")
	}
	wantDropped := func(when string) {
		t.Helper()
		if !c.dropped() {
			t.Errorf("%s, a denied client is not dropped", when)
		}
	}
	wantDropped("at once")
	c.mustVerb(director, "reload")
	wantDropped("after a reload")
	c.must(director.StopWeir(c.within(10 * time.Second)))
	mark = time.Now()
	c.must(director.StartWeir(c.within(2 * time.Minute)))
	wantDropped("after a restart")
	if _, err := director.WaitFrom(c.within(10*time.Second), mark, "a word about the firewall", lab.IsKind(model.FirewallUnasked)); err != nil {
		t.Error(err)
	}
	c.must(director.KillWeir())
	wantDropped("while weir is dead")
	c.must(director.StartWeir(c.within(2 * time.Minute)))
	wantDropped("after a crash")
	if out := c.mustVerb(director, "deny", "--list"); !strings.Contains(out, "192.168.25.10/32") || !strings.Contains(out, "in 59m") {
		t.Errorf("the list is\n%s", out)
	}
	c.mustVerb(director, "allow", "192.168.25.10/32")
	wantDropped("with an exception for the same network")
	c.mustVerb(director, "deny", "--remove", "192.168.25.10")
	if c.dropped() {
		t.Error("dropped after the rule was removed")
	}
	if out, err := c.verb(director, "deny", "--remove", "192.168.25.10"); err == nil || !strings.Contains(out, "no such live rule") {
		t.Errorf("removed again: %v, %s", err, out)
	}
	c.mustVerb(director, "deny", "192.168.25.0/24", "--for", "100ms", "--protocol", "tcp", "--port", "80")
	time.Sleep(200 * time.Millisecond)
	if c.dropped() {
		t.Error("dropped after the rule's time")
	}
}

// echoes sends a byte and waits for it to come back.
func echoes(conn net.Conn) error {
	if _, err := conn.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// The action for fail2ban bans and unbans: its commands are run as fail2ban runs them.
func TestFail2banAction(t *testing.T) {
	t.Parallel()
	c := startNAT(t, "wrr", "tc")
	director := c.Node("director")
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "fail2ban", "weir.conf"))
	c.must(err)
	run := func(action string) {
		t.Helper()
		for line := range strings.Lines(string(text)) {
			name, command, _ := strings.Cut(strings.TrimSpace(line), "=")
			if strings.TrimSpace(name) != action {
				continue
			}
			command = strings.NewReplacer("<weir>", executable, "<options>", "--run-dir "+director.RunDir(), "<ip>", "192.168.25.10", "<bantime>", "600").Replace(command)
			c.must(director.Namespace().Do(func() error {
				if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
					return fmt.Errorf("%s: %w: %s", command, err, out)
				}
				return nil
			}))
			return
		}
		t.Fatalf("the file has no %s", action)
	}
	run("actionban")
	if !c.dropped() {
		t.Error("a banned client is not dropped")
	}
	run("actionban") // fail2ban restores its bans when it starts
	run("actionunban")
	if c.dropped() {
		t.Error("dropped after unban")
	}
	run("actionunban")
}
