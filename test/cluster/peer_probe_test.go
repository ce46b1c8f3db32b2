package cluster

import (
	"testing"
	"time"

	"weir/internal/lab"
)

// With peer_probe a dead director's web server is out within two seconds of the take-over,
// not within the time that its check has, and while it is probed no request goes to it.
func TestDeadDirectorsWebServerIsProbed(t *testing.T) {
	t.Parallel()
	c := start(t, (*lab.ClusterOptions).WithPeerProbe)
	c.waitFirstChecks()
	begun := time.Now()
	c.must(c.node01.Die())
	master := c.waitState(c.node02, begun, "master", 20*time.Second)
	out := c.waitServer(c.node02, begun, c.node01, "down", 30*time.Second)
	c.wantAtMost("the dead machine's web server is out, after the take-over", out.Sub(master), 2*time.Second)
	c.wantSplit(0, 300)
}
