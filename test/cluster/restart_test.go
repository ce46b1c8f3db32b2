package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	model "weir/internal/cluster"
	"weir/internal/lab"
)

var (
	restarts     = flag.Int("restarts", 6, "how many restarts and reloads TestRestartUnderLoad makes; 100 is the long form")
	restartSeed  = flag.Uint64("restart-seed", uint64(time.Now().UnixNano()), "what its order follows from")
	restartOpen  = flag.Int("restart-streams", 20, "how many open streams it has; 500 is the long form")
	restartPause = flag.Duration("restart-pause", 600*time.Millisecond, "how long it waits between two")
)

// upgrade puts another build in the place of the running program, as a package manager does.
// With another data plane, nothing of the running one's programs is the same.
func upgrade(t *testing.T, path string, anotherPlane bool) {
	t.Helper()
	program, err := os.ReadFile(executable)
	if err != nil {
		t.Fatal(err)
	}
	if anotherPlane {
		object, err := os.ReadFile("../../internal/dataplane/abi/bpf_bpfel.o")
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(program, object)
		unused := bytes.LastIndex(object, []byte(".llvm_addrsig")) // the name of a section that nobody reads
		if at < 0 || unused < 0 {
			t.Fatalf("the program has the object at %d, and that has the section's name at %d", at, unused)
		}
		binary.NativeEndian.PutUint64(program[at+unused+1:], rand.Uint64()|0x0101010101010101)
	}
	program = fmt.Appendf(program, "build %d", rand.Uint64()) // behind what is loaded of it
	if err := os.WriteFile(path+".new", program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A restart by SIGTERM or SIGKILL, an upgrade and a reload, in any order and under load, lose
// nothing: no request fails, no stream breaks, and the standby stays one. So it is with
// each forward method.
func TestRestartUnderLoad(t *testing.T) {
	for _, kind := range []string{"", "TUN", "NAT"} {
		t.Run("kind "+kind, func(t *testing.T) { restartUnderLoad(t, wish{weights: [3]int{1, 2, -1}, kind: kind}) })
	}
}

// startKind is the seed's cluster with a wish's configuration. With another method than direct
// routing it has two servers that are no directors.
func startKind(t *testing.T, w wish, program string) *cluster {
	return start(t, func(o *lab.ClusterOptions) {
		o.Executable = program
		for i := range o.Nodes {
			o.Nodes[i].Config = w.file(o.Nodes[i].Name)
			if w.kind != "" {
				o.Nodes[i].Web = ""
			}
		}
		for i := range 2 {
			if w.kind == "" {
				break
			}
			name := fmt.Sprintf("node0%d", 3+i)
			server := lab.NodeSpec{Name: name, Addr: netip.MustParsePrefix(fmt.Sprintf("192.168.25.%d/24", 33+i)), Web: name + " service"}
			if w.kind == "TUN" {
				server.RealServer = []string{"start", "--method", "tunnel", "--vip", "192.168.25.100", "--state", filepath.Join(t.TempDir(), name+".json")}
			}
			o.Nodes = append(o.Nodes, server)
		}
		if w.kind == "NAT" { // answers come back by the master
			o.Prepare = func(c *lab.Cluster) error {
				client, master := netip.MustParsePrefix("192.168.25.10/32"), netip.MustParseAddr("192.168.25.31")
				return errors.Join(c.Node("node03").Namespace().AddRoute(client, master), c.Node("node04").Namespace().AddRoute(client, master))
			}
		}
	})
}

func restartUnderLoad(t *testing.T, w wish) {
	program := filepath.Join(t.TempDir(), "weir")
	upgrade(t, program, false)
	c := startKind(t, w, program)
	streams, stop := c.openStreams(*restartOpen)
	load := c.Stream(t.Context(), *reloadRate)
	defer load.Stop()
	begun := time.Now()
	random := rand.New(rand.NewPCG(*restartSeed, 0))
	steps := []struct {
		name string
		do   func()
	}{
		{"SIGTERM and start", func() { c.must(c.node01.TerminateWeir(c.within(10 * time.Second))) }},
		{"SIGKILL and start", func() { c.must(c.node01.KillWeir()) }},
		{"start of another build", func() {
			upgrade(t, program, false)
			c.must(c.node01.TerminateWeir(c.within(10 * time.Second)))
		}},
		{"start of a build with another data plane", func() {
			upgrade(t, program, true)
			c.must(c.node01.TerminateWeir(c.within(10 * time.Second)))
		}},
		{"reload", nil},
	}
	var order []string
	for i := range *restarts {
		step := steps[i%len(steps)] // each of them, and then at random
		if i >= len(steps) {
			step = steps[random.IntN(len(steps))]
		}
		order = append(order, step.name)
		if step.do == nil {
			w.weights[0] = 1 + i%3
			c.reload(w)
		} else {
			step.do()
			c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
		}
		time.Sleep(*restartPause)
	}
	load.Settle()
	stop()
	for range cap(streams) {
		if err := <-streams; err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
	st := load.Stats(begun, time.Now())
	t.Logf("seed %d: %s in %s: %s, machine late by %s at most", *restartSeed, strings.Join(order, ", "), time.Since(begun).Round(time.Millisecond), st, lab.Seconds(load.Late()))
	for _, r := range load.Results(begun, time.Now()) {
		if r.Failure != "" {
			t.Errorf("%s after %s: %v", r.Failure, r.Start.Sub(begun).Round(time.Millisecond), r.Err)
		}
	}
	c.wantStandby(begun)
}

// wantStandby expects that node02 has been no master since then.
func (c *cluster) wantStandby(since time.Time) {
	c.t.Helper()
	events, err := c.node02.Happened(c.within(5*time.Second), since)
	c.must(err)
	if i := slices.IndexFunc(events, lab.IsState(model.Master)); i >= 0 {
		c.t.Errorf("the standby took over at %s", events[i].Time)
	}
}

// A director without VRRP, and with NAT: whose connections are in nobody else's tables.
func TestRestartOfADirectorWithoutVRRP(t *testing.T) {
	t.Parallel()
	c := startNAT(t, "wrr", "tc")
	director := c.Node("director")
	streams, stop := c.openStreams(5)
	load := c.Stream(t.Context(), 50)
	defer load.Stop()
	begun := time.Now()
	c.must(director.TerminateWeir(c.within(10 * time.Second)))
	time.Sleep(300 * time.Millisecond)
	c.must(director.StartWeir(c.within(2 * time.Minute)))
	load.Settle()
	stop()
	for range cap(streams) {
		if err := <-streams; err != nil {
			t.Errorf("a stream: %v", err)
		}
	}
	if st := load.Stats(begun, time.Now()); st.Failures() > 0 {
		t.Errorf("the clients noticed: %s", st)
	}
}

// Where no start follows SIGTERM, the standby takes over without a gap, the VIP goes, and
// what is left of the data plane is no hindrance.
func TestSIGTERMForGood(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	stream := c.Stream(t.Context(), 50)
	defer stream.Stop()
	begun := time.Now()
	c.must(c.node01.TerminateWeir(c.within(10 * time.Second)))
	c.waitState(c.node02, time.Time{}, "master", 10*time.Second)
	c.waitHeard(c.node02)
	stream.Settle()
	st := stream.Stats(begun, time.Now())
	c.wantAtMost("SIGTERM of the master: the clients' longest gap", st.LongestGap, 500*time.Millisecond)
	if most := 2; st.Failures() > most || st.Failures() > st.Failed[lab.Reset] {
		t.Errorf("SIGTERM of the master: %s; want at most %d reset", st, most)
	}
	c.waitNoVIP(c.node01)
	if _, err := os.Stat(c.node01.PinDir()); err != nil {
		t.Errorf("the data plane is gone: %v", err)
	}
	stream.Pause()
	c.wantSplit(100, 200)
	stream.Resume()
	// It comes back much later, and takes over in order.
	mark := time.Now()
	c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
	c.waitState(c.node02, mark, "backup", 15*time.Second)
	c.waitHeard(c.node01)                                           // until then both answer, and open connections may be reset
	stream.Pause()                                                  // which would take turns between these
	c.wantNear(c.Requests(c.within(60*time.Second), 300), 100, 200) // its turn goes on from before
	stream.Resume()
}

// "weir stop --remove" leaves nothing: whether weir runs, waits for a restart, has ended
// long ago, or was killed.
func TestStopRemovesEverything(t *testing.T) {
	t.Parallel()
	c := start(t, func(o *lab.ClusterOptions) { o.Logger = slog.New(slog.DiscardHandler) })
	for _, tt := range []struct {
		name string
		end  func()
		runs bool
	}{
		{"it runs", func() {}, true},
		{"it waits for a restart", func() { c.must(c.node01.TerminateWeir(c.within(10 * time.Second))) }, false},
		{"it was killed", func() { c.must(c.node01.KillWeir()) }, false},
	} {
		tt.end()
		out, code := c.weir(c.node01, "stop", "--pin-dir", c.node01.PinDir(), "--remove")
		if code != 0 || !strings.Contains(out, "is taken away") || tt.runs != strings.Contains(out, "weir has stopped") {
			t.Errorf("%s: exit code %d:\n%s", tt.name, code, out)
		}
		if c.hasVIP(c.node01) {
			t.Errorf("%s: the VIP is still there", tt.name)
		}
		if _, err := os.Stat(c.node01.PinDir()); !os.IsNotExist(err) {
			t.Errorf("%s: %s is still there: %v", tt.name, c.node01.PinDir(), err)
		}
		if tt.runs {
			c.must(c.node01.Weir().Wait(c.within(5 * time.Second)))
		}
		if _, code := c.weir(c.node01, "stop", "--pin-dir", c.node01.PinDir()); code != 1 {
			t.Errorf("%s: a stop of nothing: exit code %d, want 1", tt.name, code)
		}
		mark := time.Now()
		c.must(c.node01.StartWeir(c.within(2 * time.Minute)))
		c.waitState(c.node01, mark, "master", 15*time.Second)
	}
}
