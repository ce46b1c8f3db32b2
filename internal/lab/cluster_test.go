package lab

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// assertKind makes one request and expects it to fail so.
func assertKind(t *testing.T, c *Cluster, address string, want Failure) {
	t.Helper()
	got := Requests(t.Context(), c.Client(), address, 1)
	if got.Failed[want] != 1 {
		t.Errorf("request to %s: %s, want 1 %s", address, got, want)
	}
}

func TestFailureKinds(t *testing.T) {
	c := newTestCluster(t, "node01", "node02")
	one, two := c.Node("node01"), c.Node("node02")
	if err := one.StopWeb(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertKind(t, c, one.Service(), Refused)
	assertKind(t, c, "10.99.0.1:80", NoRoute)
	if got := Requests(t.Context(), c.Client(), two.Service(), 1); got.Failures() != 0 {
		t.Errorf("node02 before its death: %s", got)
	}
	if err := two.Die(); err != nil {
		t.Fatal(err)
	}
	assertKind(t, c, two.Service(), TimedOut)
	if two.Web().Running() {
		t.Error("a dead machine's web server runs")
	}
	if err := two.Return(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := Requests(t.Context(), c.Client(), two.Service(), 10); got.By["node02 service"] != 10 {
		t.Errorf("node02 after its return: %s", got)
	}
}

// A machine that boots has nothing left from before but its MAC address.
func TestReturnIsAFreshBoot(t *testing.T) {
	c := newTestCluster(t, "node01")
	node := c.Node("node01")
	before, err := node.Namespace().MAC("ens160")
	if err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParsePrefix("10.9.0.100/32")
	if err := node.Namespace().AddAddr("ens160", vip); err != nil {
		t.Fatal(err)
	}
	for tries := 1; ; tries++ { // a busy machine may be late with an answer
		if got := c.Requests(t.Context(), 3); got.By["node01 service"] == 3 {
			break
		} else if tries == 10 {
			t.Fatalf("the VIP put on node01 by hand: %s", got)
		}
	}
	if err := node.Die(); err != nil {
		t.Fatal(err)
	}
	if err := node.Return(t.Context()); err != nil {
		t.Fatal(err)
	}
	addrs, err := node.Namespace().Addrs("ens160")
	if err != nil || len(addrs) != 1 || addrs[0] != node.Spec.Addr {
		t.Errorf("addresses after the boot are %v (%v), want only %v", addrs, err, node.Spec.Addr)
	}
	if after, err := node.Namespace().MAC("ens160"); err != nil || after.String() != before.String() {
		t.Errorf("MAC after the boot is %v (%v), was %v", after, err, before)
	}
}

func TestCable(t *testing.T) {
	c := newTestCluster(t, "node01")
	node := c.Node("node01")
	if err := node.Unplug(); err != nil {
		t.Fatal(err)
	}
	assertKind(t, c, node.Service(), TimedOut)
	if err := node.Plug(); err != nil {
		t.Fatal(err)
	}
	stream := StartStream(t.Context(), c.Client(), node.Service(), 50)
	defer stream.Stop()
	_, err := stream.WaitFor(t.Context(), time.Now(), func(r Result) bool { return r.Failure == "" })
	if err != nil {
		t.Error(err)
	}
}

// With IPv6 off an idle cluster is silent, so that packets can be counted.
func TestPacketCounters(t *testing.T) {
	c := newTestCluster(t, "node01", "node02")
	read := func(node, device string) Counters {
		t.Helper()
		counters, err := c.Counters(node, device)
		if err != nil {
			t.Fatal(err)
		}
		return counters
	}
	Requests(t.Context(), c.Client(), c.Node("node01").Service(), 1) // ARP goes first
	node, other := read("node01", "ens160"), read("node02", "ens160")
	const n = 50
	if got := Requests(t.Context(), c.Client(), c.Node("node01").Service(), n); got.Answered() != n {
		t.Fatal(got)
	}
	in := read("node01", "ens160").Sub(node)
	// SYN, ACK, request, and two to four to acknowledge and to close.
	if in.RxPackets < 5*n || in.RxPackets > 8*n {
		t.Errorf("node01 got %d packets for %d requests, want 5 to 8 for each", in.RxPackets, n)
	}
	if strayed := read("node02", "ens160").Sub(other); strayed.RxPackets > 2 || strayed.TxPackets > 2 {
		t.Errorf("node02 counts %+v for requests to node01, want at most an ARP exchange", strayed)
	}
	// Where node01 has ended and its cable is still, both ends count the same.
	if err := c.Node("node01").Die(); err != nil {
		t.Fatal(err)
	}
	end, port := read("node01", "ens160"), read("switch", "node01")
	if end.RxPackets != port.TxPackets || end.TxPackets != port.RxPackets {
		t.Errorf("node01 counts %+v, the other end of its cable %+v", end, port)
	}
}

func TestOffload(t *testing.T) {
	c := newTestCluster(t, "node01")
	for _, feature := range []string{"tx", "gro", "tso", "gso", "tx-checksum-ip-generic"} {
		for _, on := range []bool{false, true} {
			if err := c.SetOffload("client", "ens160", feature, on); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.SetOffload("client", "ens160", "warp", true); err == nil {
		t.Error("an unknown offload was set")
	}
	if err := c.SetOffload("node09", "ens160", "tx", true); err == nil {
		t.Error("an offload of an unknown node was set")
	}
}

func TestStream(t *testing.T) {
	c := newTestCluster(t, "node01")
	node := c.Node("node01")
	stream := StartStream(t.Context(), c.Client(), node.Service(), 200)
	defer stream.Stop()
	answered := func(r Result) bool { return r.Failure == "" }
	first, err := stream.WaitFor(t.Context(), time.Time{}, answered)
	if err != nil {
		t.Fatal(err)
	}
	stop := time.Now()
	if err := node.StopWeb(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.WaitFor(t.Context(), stop, func(r Result) bool { return r.Failure == Refused }); err != nil {
		t.Fatal(err)
	}
	if err := node.StartWeb(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := stream.WaitFor(t.Context(), time.Now(), answered)
	if err != nil {
		t.Fatal(err)
	}
	stream.Pause()
	paused := time.Now()
	during := stream.Stats(first.Start, paused)
	counted, err := node.WebCount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := stream.Stats(again.Start, paused)
	stream.Resume()
	if during.Failed[Refused] == 0 || during.LongestGap <= 0 || during.LongestGap > again.End().Sub(first.Start) {
		t.Errorf("over the stop: %s", during)
	}
	if during.Failures() != during.Failed[Refused]+during.Failed[Reset] {
		t.Errorf("over the stop: %s, want only refused and reset", during)
	}
	if after.Failures() != 0 || counted < after.Answered() {
		t.Errorf("after the start: %s; the web server counted %d", after, counted)
	}
	if quiet := stream.Stats(paused, paused.Add(time.Nanosecond)); quiet.Requests != 0 {
		t.Errorf("in the pause: %s", quiet)
	}
}

func TestSummarise(t *testing.T) {
	start := time.Unix(1, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	ok := func(ms int, by string) Result {
		return Result{Start: at(ms), Latency: 10 * time.Millisecond, By: by}
	}
	tests := []struct {
		name    string
		results []Result
		to      int
		want    string
	}{
		{"none", nil, 500, "0 requests, 0 failed, longest gap 0.5 s"},
		{"steady", []Result{ok(0, "a"), ok(100, "b"), ok(200, "a")}, 210, "3 requests, 0 failed, longest gap 0.1 s"},
		{"out of order", []Result{ok(200, "a"), ok(0, "a"), ok(100, "b")}, 210, "3 requests, 0 failed, longest gap 0.1 s"},
		{"gap at the end", []Result{ok(0, "a")}, 1010, "1 requests, 0 failed, longest gap 1.0 s"},
		{"failures make no answer", []Result{
			ok(0, "a"),
			{Start: at(100), Latency: time.Second, Failure: TimedOut},
			{Start: at(200), Failure: Refused},
			ok(2000, "a"),
		}, 2010, "4 requests, 1 refused, 1 timed out, longest gap 2.0 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := summarise(tt.results, start, at(tt.to)).String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
