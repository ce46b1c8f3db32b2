package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/internal/cluster"
)

// story is the seed's story under way.
type story struct {
	c              *Cluster
	node01, node02 *Node
	report         *report
	rate           int
	keep           bool
	probes         bool // both files have peer_probe
	stream         *Stream
	// lastWords are the ends of the nodes' logs, read before they are removed.
	lastWords map[string][]string
	// odd are requests that failed where none should have.
	odd []Result
	// settled is since when the pool has been as it is: from then on no
	// request may fail.
	settled time.Time
}

// splitRequests is how many requests a split is counted over.
const splitRequests = 300

func newStory(c *Cluster, out io.Writer, opts SeedOptions) *story {
	s := &story{
		c: c, node01: c.Node("node01"), node02: c.Node("node02"),
		report: &report{out: out}, rate: opts.Rate, keep: opts.Keep, probes: opts.PeerProbe,
		lastWords: map[string][]string{},
	}
	if opts.Terminal {
		s.report.live = s.status
	}
	return s
}

// tell tells the steps in order. An error says that a step could not be
// carried out, so that those after it make no sense; a step that merely did
// not hold is in the report.
func (s *story) tell(ctx context.Context) error {
	defer func() {
		for _, n := range s.c.Nodes() {
			s.lastWords[n.Spec.Name] = n.Log.Tail(15)
		}
	}()
	s.stream = s.c.Stream(ctx, s.rate)
	defer s.stream.Stop()
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"start", s.start},
		{"300 requests", s.splitByWeight},
		{"stop the web on node02", s.stopWeb},
		{"start it again", s.startWeb},
		{"node01 dies", s.die},
		{"node01 returns", s.comeBack},
		{"weir stop on node01", s.stopWeir},
		{"start it again", s.startWeir},
	} {
		s.report.begin(step.title)
		err := step.run(ctx)
		if err != nil && ctx.Err() == nil {
			s.report.check("", err.Error(), false)
		}
		s.report.end()
		if err != nil {
			return err
		}
	}
	return nil
}

// start: both machines start; node01 has the higher priority.
func (s *story) start(ctx context.Context) error {
	begun := time.Now()
	if err := s.c.Start(ctx); err != nil {
		return err
	}
	took, err := s.waitMaster(ctx, s.node01, begun)
	if err != nil {
		return err
	}
	answer, err := s.waitAnswer(ctx, begun, boundMaster, func(Result) bool { return true })
	if err != nil {
		return err
	}
	standby, err := s.node02.View()
	if err != nil {
		return err
	}
	s.report.check("", fmt.Sprintf("node01 master after %s (bound %s), node02 %s",
		Seconds(took), Seconds(boundMaster), standby.State), took <= boundMaster && standby.State == cluster.Backup)
	s.report.check("first answer", fmt.Sprintf("after %s", Seconds(answer.End().Sub(begun))), true)
	for _, n := range s.c.Nodes() {
		v, err := n.View()
		if err != nil {
			return err
		}
		s.report.check("data plane on "+n.Spec.Name, strings.Join(v.Devices, ", "), len(v.Devices) > 0)
	}
	s.settled = time.Now()
	return s.waitChecked(ctx, begun)
}

// waitChecked waits until the master's checks have passed once: only a server
// that was seen up has retries, whose time is part of the bounds.
func (s *story) waitChecked(ctx context.Context, begun time.Time) error {
	ctx, cancel := withBound(ctx, boundChecked)
	defer cancel()
	var last time.Time
	for _, n := range s.c.Nodes() {
		passed, err := s.node01.Wait(ctx, "the first check of "+n.Service(), IsFirstCheck(n.Service()))
		if err != nil {
			return err
		}
		if passed.Time.After(last) {
			last = passed.Time
		}
	}
	s.report.check("checks", fmt.Sprintf("both web servers passed after %s (bound %s)",
		Seconds(last.Sub(begun)), Seconds(boundChecked)), last.Sub(begun) <= boundChecked)
	return nil
}

func (s *story) splitByWeight(ctx context.Context) error {
	const all = seedWeight1 + seedWeight2
	return s.split(ctx, splitRequests*seedWeight1/all, splitRequests*seedWeight2/all)
}

// split holds the stream back, makes the requests in order, and expects
// exactly these shares.
func (s *story) split(ctx context.Context, want1, want2 int) error {
	s.stream.Pause()
	defer s.stream.Resume()
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	st := s.c.Requests(limited, splitRequests)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	got1, got2 := st.By[s.node01.Spec.Web], st.By[s.node02.Spec.Web]
	text := fmt.Sprintf("node01 %d, node02 %d, %s", got1, got2, st.FailuresText())
	if st.Requests < splitRequests {
		text += fmt.Sprintf(", only %d made in 30 s", st.Requests)
	}
	s.report.check("300 requests", text, got1 == want1 && got2 == want2)
	return nil
}

// stopWeb: node02's web server stops; its machine refuses connections.
func (s *story) stopWeb(ctx context.Context) error {
	s.tellQuiet(time.Now())
	begun := time.Now()
	if err := s.node02.StopWeb(ctx); err != nil {
		return err
	}
	out, err := s.waitServer(ctx, s.node01, begun, s.node02, "down", boundOut)
	if err != nil {
		return err
	}
	s.tellBound("", "out", out.Time.Sub(begun), boundOut)
	if err := s.settleFrom(ctx, out.Time.Add(slack)); err != nil {
		return err
	}
	st := s.stream.Stats(begun, out.Time)
	s.tellClients(st, st.Failures() == st.Failed[Refused]+st.Failed[Reset])
	return s.split(ctx, splitRequests, 0)
}

// startWeb: node02's web server starts again.
func (s *story) startWeb(ctx context.Context) error {
	begun := time.Now()
	if err := s.node02.StartWeb(ctx); err != nil {
		return err
	}
	back, err := s.waitServer(ctx, s.node01, begun, s.node02, "up", boundBack)
	if err != nil {
		return err
	}
	s.tellBound("", "back", back.Time.Sub(begun), boundBack)
	// The director's word comes first, its data plane's deed a moment later.
	if _, err := s.waitAnswer(ctx, back.Time, slack, func(r Result) bool { return r.By == s.node02.Spec.Web }); err != nil {
		return err
	}
	s.tellQuiet(time.Now())
	return s.splitByWeight(ctx)
}

// die: node01 dies as a machine does, director and web server at once.
func (s *story) die(ctx context.Context) error {
	s.tellQuiet(time.Now())
	begun := time.Now()
	if err := s.node01.Die(); err != nil {
		return err
	}
	dead := time.Now()
	first, err := s.waitAnswer(ctx, dead, boundTakeover, func(r Result) bool { return r.By == s.node02.Spec.Web })
	if err != nil {
		return err
	}
	took := first.End().Sub(begun)
	s.report.check("", fmt.Sprintf("VIP on node02 after %s (bound %s)", Seconds(took), Seconds(boundTakeover)), took <= boundTakeover)
	out, err := s.waitServer(ctx, s.node02, begun, s.node01, "down", boundSilent)
	if err != nil {
		return err
	}
	if s.probes {
		s.tellBound("its web server", "out behind the take-over", out.Time.Sub(first.Start), boundProbed)
	}
	if err := s.settleFrom(ctx, out.Time.Add(slack)); err != nil {
		return err
	}
	away := s.stream.Stats(begun, first.Start)
	s.report.check("  without the VIP", fmt.Sprintf("%s of %s requests failed: %s", count(away.Failures()), count(away.Requests), away.FailuresText()), true)
	s.tellDeadServer(out.Time.Sub(begun), s.stream.Stats(first.Start, out.Time))
	return s.split(ctx, 0, splitRequests)
}

// tellDeadServer tells what a web server that died silently cost the clients
// until the check took it out: its share by weight, and nothing more. Two
// requests are for the share's ends, which fall within the scheduler's cycle.
func (s *story) tellDeadServer(took time.Duration, st Stats) {
	share := float64(st.Requests) * seedWeight1 / (seedWeight1 + seedWeight2)
	text := fmt.Sprintf("out after %s (bound %s); until then %s of %s requests went to it: %s",
		Seconds(took), Seconds(boundSilent), count(st.Failures()), count(st.Requests), st.FailuresText())
	s.report.check("its web server", text, took <= boundSilent+slack && float64(st.Failures()) <= share+2)
}

// comeBack: node01 boots and preempts node02.
func (s *story) comeBack(ctx context.Context) error {
	if err := s.node01.Reboot(); err != nil {
		return err
	}
	s.tellQuiet(time.Now())
	begun := time.Now()
	if err := s.node01.StartWeb(ctx); err != nil {
		return err
	}
	if err := s.takeBack(ctx, begun); err != nil {
		return err
	}
	back, err := s.waitServer(ctx, s.node02, begun, s.node01, "up", boundBack)
	if err != nil {
		return err
	}
	s.tellBound("its web server", "back", back.Time.Sub(begun), boundBack)
	s.settled = time.Now()
	return s.splitByWeight(ctx)
}

// stopWeir: node01's director is stopped cleanly; its web server runs on.
func (s *story) stopWeir(ctx context.Context) error {
	s.tellQuiet(time.Now())
	begun := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.node01.StopWeir(ctx) }()
	moved, err := s.waitMoved(ctx, s.node02, boundStop)
	if err != nil {
		return errors.Join(err, <-stopped)
	}
	if err := <-stopped; err != nil {
		return err
	}
	if _, err := s.waitAnswer(ctx, moved, boundStop, func(Result) bool { return true }); err != nil {
		return err
	}
	s.stream.Settle()
	st := s.stream.Stats(begun, time.Now())
	s.report.check("", fmt.Sprintf("without an answer for %s at most (bound %s); VIP on node02 after %s",
		Seconds(st.LongestGap), Seconds(boundStop), Seconds(moved.Sub(begun))), st.LongestGap <= boundStop)
	s.tellClients(st, st.Failures() == 0)
	s.settled = time.Now()
	return s.splitByWeight(ctx)
}

// startWeir: the director that was stopped starts again, and preempts.
func (s *story) startWeir(ctx context.Context) error {
	s.tellQuiet(time.Now())
	if err := s.takeBack(ctx, time.Now()); err != nil {
		return err
	}
	s.settled = time.Now()
	return s.splitByWeight(ctx)
}

// takeBack starts node01's director, which becomes master again. A client may
// not be without the service for longer than a second meanwhile.
func (s *story) takeBack(ctx context.Context, begun time.Time) error {
	if err := s.node01.StartWeir(ctx); err != nil {
		return err
	}
	took, err := s.waitMaster(ctx, s.node01, begun)
	if err != nil {
		return err
	}
	s.report.check("", fmt.Sprintf("master again after %s (bound %s)", Seconds(took), Seconds(boundMaster)), took <= boundMaster)
	moved, err := s.waitMoved(ctx, s.node01, boundGap)
	if err != nil {
		return err
	}
	if _, err := s.waitAnswer(ctx, moved, boundGap, func(Result) bool { return true }); err != nil {
		return err
	}
	s.stream.Settle()
	st := s.stream.Stats(begun, time.Now())
	s.tellClients(st, st.LongestGap <= boundGap && st.Failed[TimedOut] == 0)
	return nil
}

// settleFrom says that from a moment on no request may fail, and waits for the
// first answer after it and for the end of every request from before.
func (s *story) settleFrom(ctx context.Context, moment time.Time) error {
	s.settled = moment
	_, err := s.waitAnswer(ctx, moment, slack, func(Result) bool { return true })
	s.stream.Settle()
	return err
}

// tellBound tells how long a change of the pool took.
func (s *story) tellBound(label, what string, took, bound time.Duration) {
	s.report.check(label, fmt.Sprintf("%s after %s (bound %s)", what, Seconds(took), Seconds(bound)), took <= bound+slack)
}

// tellClients tells what the clients saw.
func (s *story) tellClients(st Stats, held bool) {
	s.report.check("  clients", st.String(), held)
	if !held {
		s.keepOdd(st)
	}
}

// keepOdd remembers the first failures of a stretch that should have had none.
func (s *story) keepOdd(st Stats) {
	const enough = 5
	n := 0
	for _, r := range s.stream.Results(st.From, st.To) {
		if r.Failure != "" && n < enough {
			s.odd = append(s.odd, r)
			n++
		}
	}
}

// tellQuiet holds the time since the last change against its promise: no
// request failed. It speaks up only where one did.
func (s *story) tellQuiet(until time.Time) {
	s.stream.Settle()
	if st := s.stream.Stats(s.settled, until); st.Failures() > 0 {
		s.report.check("", "since the last change: "+st.String(), false)
		s.keepOdd(st)
	}
	s.settled = until
}

// waitMaster waits until a node says that it is master, and tells how long
// that took.
func (s *story) waitMaster(ctx context.Context, n *Node, begun time.Time) (time.Duration, error) {
	ctx, cancel := withBound(ctx, boundMaster)
	defer cancel()
	changed, err := n.Wait(ctx, "the change to master", IsState(cluster.Master))
	return changed.Time.Sub(begun), err
}

// waitServer waits until a director says that it took another node's web
// server out ("down") or in ("up").
func (s *story) waitServer(ctx context.Context, director *Node, from time.Time, server *Node, state string, bound time.Duration) (cluster.Event, error) {
	ctx, cancel := withBound(ctx, bound)
	defer cancel()
	return director.WaitFrom(ctx, from, "real server "+server.Service()+" "+state, IsServer(server.Service(), state))
}

// waitAnswer waits for the first answer to a request of the stream that
// started at or after from.
func (s *story) waitAnswer(ctx context.Context, from time.Time, bound time.Duration, match func(Result) bool) (Result, error) {
	ctx, cancel := withBound(ctx, bound)
	defer cancel()
	r, err := s.stream.WaitFor(ctx, from, func(r Result) bool { return r.Failure == "" && match(r) })
	if err != nil {
		return r, fmt.Errorf("the client waited for an answer: %w", err)
	}
	return r, nil
}

// waitMoved waits until the client's ARP table has the VIP at a node, and
// tells when it had.
func (s *story) waitMoved(ctx context.Context, to *Node, bound time.Duration) (time.Time, error) {
	ctx, cancel := withBound(ctx, bound)
	defer cancel()
	want, err := to.ns.MAC(s.c.opts.Device)
	if err != nil {
		return time.Time{}, err
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		got, err := s.c.client.Neighbour(s.c.opts.Device, s.c.opts.Target.Addr())
		if err != nil || slices.Equal(got, want) {
			return time.Now(), err
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("the client's ARP table has the VIP at %v, not at %s (%v): %w", got, to.Spec.Name, want, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func withBound(ctx context.Context, bound time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, bound+grace, fmt.Errorf("not within %s, the bound being %s", Seconds(bound+grace), Seconds(bound)))
}

// status is the live line: who is master, which servers the master has in,
// and what the clients got in the last second.
func (s *story) status() string {
	master, pool := "none", ""
	for _, n := range s.c.Nodes() {
		v, err := n.View()
		if err != nil || !v.Running || v.State != cluster.Master {
			continue
		}
		master, pool = n.Spec.Name, ""
		for _, server := range s.c.Nodes() {
			if _, down := v.Down[server.Service()]; !down {
				pool += " " + server.Spec.Name
			}
		}
	}
	st := s.stream.Recent(time.Second)
	return fmt.Sprintf("master %s | in%s | 1 s: node01 %d node02 %d failed %d", master, pool,
		st.By[s.node01.Spec.Web], st.By[s.node02.Spec.Web], st.Failures())
}
