package cluster

import (
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

// The pinned data plane goes on while weir does not run, and a restart within the
// master-down interval continues as master: neither clients nor the standby notice.
func TestKilledProcessThatIsRestartedInTime(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()
	begun := time.Now()
	c.must(c.node01.KillWeir())
	// While weir does not run, the data plane forwards by itself.
	stream.Pause()
	c.wantSplit(100, 200)
	stream.Resume()
	mark := time.Now()
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	// However long the start takes: the new process takes the lease up first of all.
	resumed := c.waitState(c.node01, mark, "master", 20*time.Second)
	t.Logf("master again after %s", resumed.Sub(begun))
	// Long enough for a standby that misses adverts to take over.
	_, err := stream.WaitFor(c.within(10*time.Second), begun.Add(5*time.Second), func(lab.Result) bool { return true })
	c.must(err)
	stream.Settle()
	st := stream.Stats(begun, time.Now())
	if st.Failures() > 0 {
		t.Errorf("the clients noticed: %s", st)
	}
	if v, err := c.node02.View(); err != nil || v.State != model.Backup {
		t.Errorf("the standby is %q, %v; want BACKUP all the time", v.State, err)
	}
	events, err := c.node02.Happened(c.within(5*time.Second), begun)
	c.must(err)
	for _, e := range events {
		if lab.IsState(model.Master)(e) {
			t.Errorf("the standby took over at %s", e.Time)
		}
	}
}

// Packets are counted device by device. Each packet of a client passes the master's device
// once, and once more where the connection's server is the other machine. Replies pass only
// their server's device. A packet that loops would pass up to 64 times.
func TestNoPacketLoops(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	t.Run("in order", func(t *testing.T) {
		c.wantNoLoop(t, c.node01, c.node02)
	})
	t.Run("the master's process killed for good", func(t *testing.T) {
		mark := time.Now()
		c.must(c.node01.KillWeir())
		c.waitState(c.node02, mark, "master", 10*time.Second)
		c.waitVIP(c.node02)
		c.waitVIP(c.node01)   // it still has the VIP, and its kernel would answer
		c.waitHeard(c.node02) // a connection that began before is reset
		c.waitAnswer()
		c.wantNoLoop(t, c.node02, c.node01)
	})
}

// background is how many other packets may pass a device while the requests are made:
// adverts, checks, ARP.
const (
	backgroundOnce      = 40
	backgroundPerSecond = 20
)

// wantNoLoop makes 1,000 requests with this master and counts packets.
func (c *cluster) wantNoLoop(t *testing.T, master, other *lab.Node) {
	t.Helper()
	before := c.counters(t)
	begun := time.Now()
	st := c.Requests(c.within(60*time.Second), 1000)
	took := time.Since(begun)
	after := c.counters(t)
	if st.Failures() > 0 {
		t.Fatalf("1000 requests: %s", st)
	}
	crossed := func(node string) (in, out uint64) {
		return after[node].RxPackets - before[node].RxPackets, after[node].TxPackets - before[node].TxPackets
	}
	answers, asked := crossed("client")
	masterIn, masterOut := crossed(master.Spec.Name)
	otherIn, otherOut := crossed(other.Spec.Name)
	noise := backgroundOnce + uint64(backgroundPerSecond*took.Seconds())
	t.Logf("1000 requests in %s: %s; the client sent %d and got %d packets; %s in %d out %d; %s in %d out %d; background at most %d",
		took.Round(time.Millisecond), st.FailuresText(), asked, answers,
		master.Spec.Name, masterIn, masterOut, other.Spec.Name, otherIn, otherOut, noise)
	near := func(what string, got, want uint64) {
		t.Helper()
		if got+noise < want || got > want+noise {
			t.Errorf("%s: %d packets, want %d ± %d", what, got, want, noise)
		}
	}
	near("into the master", masterIn, asked)
	// The master forwards the packets that it sends beside its own answers.
	near("out of both, beside the answers: into the other machine", masterOut+otherOut-answers, otherIn)
	// A connection has five or six packets of the client, depending on its acknowledgements.
	if most := asked*uint64(st.By[other.Spec.Web])/1000*6/5 + noise; otherIn > most {
		t.Errorf("into the other machine: %d packets, want its share of what was asked, at most %d", otherIn, most)
	}
}

func (c *cluster) counters(t *testing.T) map[string]lab.Counters {
	t.Helper()
	all := map[string]lab.Counters{}
	for _, node := range []string{"client", "node01", "node02"} {
		counters, err := c.Counters(node, "ens160")
		if err != nil {
			t.Fatal(err)
		}
		all[node] = counters
	}
	return all
}
