package cluster

import (
	"os/exec"
	"testing"
	"time"

	"weir/internal/lab"
)

func TestRequestsAreSplitByWeightOnEitherDirector(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.wantSplit(100, 200)

	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()
	begun := time.Now()
	c.must(c.node01.StopWeir(c.within(10 * time.Second)))
	c.waitState(c.node02, time.Time{}, "master", 5*time.Second)
	stream.Settle()
	st := stream.Stats(begun, time.Now())
	c.wantAtMost("weir stop on the master: the clients' longest gap", st.LongestGap, 500*time.Millisecond)
	// A connection that is open at that moment is reset, since the new master does not
	// know it.
	if most := 2; st.Failures() > most || st.Failures() > st.Failed[lab.Reset] {
		t.Errorf("weir stop on the master: %s; want at most %d reset", st, most)
	}
	stream.Pause()
	c.wantSplit(100, 200)
	stream.Resume()
}

// The machines themselves as clients: the master's requests are split like those of any
// client. The standby has the VIP on lo, as a real server, and is answered by its own server.
func TestDirectorsAskForTheVIP(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for _, of := range []struct {
		node         *lab.Node
		want1, want2 int
	}{{c.node01, 100, 200}, {c.node02, 0, 300}} {
		st := lab.Requests(c.within(60*time.Second), of.node.Namespace(), "192.168.25.100:80", 300)
		got1, got2 := st.By[c.node01.Spec.Web], st.By[c.node02.Spec.Web]
		if got1 != of.want1 || got2 != of.want2 || st.Failures() != 0 {
			t.Errorf("300 requests of %s: node01 %d, node02 %d, %s; want %d and %d, 0 failed",
				of.node.Spec.Name, got1, got2, st.FailuresText(), of.want1, of.want2)
		}
	}
}

func TestWebServerThatRefusesIsTakenOutAndComesBack(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	// A check has passed: only a server that has passed one has retries.
	c.waitFirstChecks()
	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()

	begun := time.Now()
	c.must(c.node02.StopWeb(c.within(5 * time.Second)))
	out := c.waitServer(c.node01, begun, c.node02, "down", outBound+10*time.Second)
	c.wantAtMost("a stopped web server is out after", out.Sub(begun), outBound+slack)
	stream.Pause()
	c.wantSplit(300, 0)
	stream.Resume()

	begun = time.Now()
	c.must(c.node02.StartWeb(c.within(5 * time.Second)))
	back := c.waitServer(c.node01, begun, c.node02, "up", backBound+10*time.Second)
	c.wantAtMost("a started web server is back after", back.Sub(begun), backBound+slack)
	stream.Settle()
	if st := stream.Stats(out.Add(slack), back); st.Failures() > 0 {
		t.Errorf("after the server was out: %s", st)
	}
	stream.Pause()
	c.wantSplit(100, 200)
	stream.Resume()
}

// A server that does not answer: the packets from node02 to node01 are lost, so that node01's
// checks get no answer, while clients still do.
func TestSilentWebServerIsTakenOut(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	c.waitFirstChecks()
	begun := time.Now()
	c.must(c.node02.Namespace().Do(func() error {
		return exec.Command("ip", "route", "add", "blackhole", "192.168.25.31/32").Run()
	}))
	out := c.waitServer(c.node01, begun, c.node02, "down", silentBound+10*time.Second)
	c.wantAtMost("a silent web server is out after", out.Sub(begun), silentBound+slack)
	c.wantSplit(300, 0)
}

func TestDeadMachineIsReplacedAndReturns(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()

	begun := time.Now()
	c.must(c.node01.Die())
	first, err := stream.WaitFor(c.within(20*time.Second), time.Now(), func(r lab.Result) bool {
		return r.Failure == "" && r.By == c.node02.Spec.Web
	})
	c.must(err)
	c.wantAtMost("the standby answers for the VIP after", first.End().Sub(begun), takeoverBound)
	out := c.waitServer(c.node02, begun, c.node01, "down", silentBound+10*time.Second)
	c.wantAtMost("the dead machine's web server is out after", out.Sub(begun), silentBound+slack)
	stream.Settle()
	// Until then the dead server got its share of the requests, and not more.
	st := stream.Stats(first.Start, out)
	if most := st.Requests/3 + 2; st.Failures() > most || st.Failures() == 0 {
		t.Errorf("%s; want at most the dead server's third, %d", st, most)
	}
	stream.Pause()
	c.wantSplit(0, 300)
	stream.Resume()

	begun = time.Now()
	c.must(c.node01.Return(c.within(30 * time.Second)))
	c.waitState(c.node02, begun, "backup", 10*time.Second)
	c.waitServer(c.node02, begun, c.node01, "up", 20*time.Second)
	stream.Settle()
	st = stream.Stats(begun, time.Now())
	c.wantAtMost("the master returns: the clients' longest gap", st.LongestGap, time.Second)
	if st.Failed[lab.TimedOut] > 0 {
		t.Errorf("the master returns: %s; want no connect that fails for longer than 1 s", st)
	}
}

// waitFirstChecks waits until node01's check of node02 has passed once: only a
// server that has been seen up has retries. It takes 1 s + up to delay_loop.
func (c *cluster) waitFirstChecks() {
	c.t.Helper()
	_, err := c.node01.Wait(c.within(10*time.Second), "first check", lab.IsFirstCheck(c.node02.Service()))
	c.must(err)
}
