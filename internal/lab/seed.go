package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"weir/examples"
)

// What the seed's two files say, for the bounds that follow from it. A test
// compares these figures with the files.
const (
	seedAdvert   = 1 * time.Second // advert_int
	seedPriority = 100             // of node01; node02 has:
	seedStandby  = 90

	seedWeight1 = 1 // of node01's web server
	seedWeight2 = 2

	seedDelayLoop = 6 * time.Second
	seedRetries   = 3 // nb_get_retry
	seedRetryWait = 3 * time.Second
	seedConnect   = 10 * time.Second // connect_timeout
)

// The bounds. They are the configuration's and the RFC's; slack is what the
// machine itself may need for it, on two busy cores.
const (
	slack     = 300 * time.Millisecond
	bootSlack = 2 * time.Second // for a program to start, BPF included

	boundOut    = seedDelayLoop + seedRetries*seedRetryWait
	boundSilent = boundOut + (seedRetries+1)*seedConnect
	boundBack   = seedDelayLoop
	// The first check comes 1 s and up to the delay loop after the start. Both directors
	// start at once, and the kernel verifies the programs of both.
	boundChecked = time.Second + seedDelayLoop + 2*bootSlack

	// The standby takes over after the master-down interval (RFC 3768,
	// section 6.1): three adverts and its skew time; 0.2 s is for the client
	// to see it.
	boundTakeover = 3*seedAdvert + (256-seedStandby)*time.Second/256 + 200*time.Millisecond
	boundMaster   = 3*seedAdvert + (256-seedPriority)*time.Second/256 + bootSlack
	boundStop     = 500 * time.Millisecond
	// boundProbed is how soon after the take-over peer_probe has a dead machine's web
	// server out: it has a second to answer.
	boundProbed = 2 * time.Second
	boundGap    = 1 * time.Second
)

// grace is how long past its bound a thing is waited for, so that a miss is
// told with its figure.
const grace = 10 * time.Second

// SeedOptions are those of `weir lab seed`.
type SeedOptions struct {
	Options
	// Rate is the steady stream's requests per second.
	Rate int
	// Terminal shows live lines.
	Terminal bool
	// PeerProbe adds peer_probe to both files.
	PeerProbe bool
}

// peerProbe is what WithPeerProbe adds to a file.
const peerProbe = "\nweir {\n    peer_probe\n}\n"

// WithPeerProbe adds peer_probe to the files of a cluster.
func (o *ClusterOptions) WithPeerProbe() {
	for i := range o.Nodes {
		o.Nodes[i].Config += peerProbe
	}
}

// SeedCluster describes the seed's cluster: two directors that are also the
// web servers, running examples/seed unchanged.
func SeedCluster(opts Options) (ClusterOptions, error) {
	master, err := examples.Seed.ReadFile("seed/master.conf")
	if err != nil {
		return ClusterOptions{}, err
	}
	backup, err := examples.Seed.ReadFile("seed/backup.conf")
	if err != nil {
		return ClusterOptions{}, err
	}
	return ClusterOptions{
		Options: opts,
		Device:  "ens160",
		Client:  netip.MustParsePrefix("192.168.25.10/24"),
		Target:  netip.MustParseAddrPort("192.168.25.100:80"),
		Nodes: []NodeSpec{
			{Name: "node01", Addr: netip.MustParsePrefix("192.168.25.31/24"), Config: string(master), Web: "node01 service"},
			{Name: "node02", Addr: netip.MustParsePrefix("192.168.25.32/24"), Config: string(backup), Web: "node02 service"},
		},
	}, nil
}

// ErrStory is what Seed returns when a step did not hold; the report on its
// writer has told which.
var ErrStory = errors.New("the seed's story did not hold")

// Seed builds the seed's cluster, tells its story on out, and removes the
// cluster, or leaves it to the user where opts.Keep says so. Its error is nil
// only when every step held and everything is gone again.
func Seed(ctx context.Context, out io.Writer, opts SeedOptions) (err error) {
	clusterOpts, err := SeedCluster(opts.Options)
	if err != nil {
		return err
	}
	if opts.PeerProbe {
		clusterOpts.WithPeerProbe()
	}
	begun := time.Now()
	c, err := NewCluster(clusterOpts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s := newStory(c, out, opts)
	s.introduce()
	storyErr := s.tell(ctx)
	if ctx.Err() != nil {
		if err := c.Close(); err != nil {
			return err
		}
		s.report.line("\nInterrupted. Everything it built is gone again.")
		return context.Cause(ctx)
	}
	took := time.Since(begun)
	if opts.Keep {
		s.conclude(took, storyErr, "")
		s.explainKept()
		return errors.Join(s.verdict(storyErr), c.HandOver())
	}
	if err := c.Close(); err != nil {
		return errors.Join(storyErr, err)
	}
	s.conclude(took, storyErr, " Everything it built is gone again.")
	return s.verdict(storyErr)
}

func (s *story) introduce() {
	s.report.line("weir lab seed: two directors that are the web servers too, a client, a switch")
	s.report.line("  node01  %s  priority %-3d  weight %d", s.node01.Spec.Addr.Addr(), seedPriority, seedWeight1)
	s.report.line("  node02  %s  priority %-3d  weight %d", s.node02.Spec.Addr.Addr(), seedStandby, seedWeight2)
	s.report.line("  VIP     %s  wrr, direct routing", s.c.opts.Target)
	s.report.line("  client  %s  %d requests/s, each on a new connection,", s.c.opts.Client.Addr(), s.rate)
	s.report.line("          failed after %s; a bound of the checks has %s of slack\n", Seconds(RequestTimeout), Seconds(slack))
	if s.probes {
		s.report.line("  Both files have weir { peer_probe } added.\n")
	}
}

// verdict is the error for a story that ended with this one.
func (s *story) verdict(err error) error {
	if err != nil || s.report.failed > 0 {
		return ErrStory
	}
	return nil
}

// conclude tells how the story went as a whole, with the nodes' last words
// where it did not hold.
func (s *story) conclude(took time.Duration, err error, after string) {
	if err == nil && s.report.failed == 0 {
		s.report.line("\nAll %d steps held in %.0f s.%s", s.report.steps, took.Seconds(), after)
		if !s.keep {
			s.report.line("Try it yourself:  weir lab seed --keep")
		}
		return
	}
	if len(s.odd) > 0 {
		s.report.line("\nRequests that failed where none should have, the first of each step:")
	}
	for _, r := range s.odd {
		s.report.line("  %s  %s after %s", r.Start.Format(clockFormat), r.Failure, Seconds(r.Latency))
	}
	for _, n := range s.c.Nodes() {
		s.report.line("\nThe last lines of %s's log:", n.Spec.Name)
		for _, line := range s.lastWords[n.Spec.Name] {
			for i, part := range wrap(line, reportWidth-4) {
				s.report.line("%s%s", strings.Repeat(" ", 2+2*min(i, 1)), part)
			}
		}
	}
	if err != nil {
		s.report.line("\nThe story broke off in step %d.%s", s.report.steps, after)
		return
	}
	s.report.line("\n%d of %d steps did not hold in %.0f s.%s", s.report.failed, s.report.steps, took.Seconds(), after)
}

// explainKept tells what can be done with a cluster that stays.
func (s *story) explainKept() {
	n := s.node01
	enter := "nsenter --net=" + n.ns.Path()
	s.report.line("\nThe cluster stays up as lab %s. As root:", s.c.ID)
	for _, hint := range [][2]string{
		{"ask the service, as the client does", "nsenter --net=" + s.c.client.Path() + " curl http://" + s.c.opts.Target.Addr().String() + "/"},
		{"a shell on node01", enter},
		{"node01's weir on one screen", s.c.Lab.opts.Executable + " status --run-dir " + n.RunDir()},
		{"what node01's weir says", "tail -f " + n.Log.Path()},
		{"stop its web server", fmt.Sprintf("kill %d", n.web.Pid())},
		{"start it again", fmt.Sprintf("%s \\\n      %s lab web --name %q &", enter, s.c.Lab.opts.Executable, n.Spec.Web)},
		{"stop its weir", fmt.Sprintf("kill %d", n.weir.Pid())},
		{"start it again", fmt.Sprintf("%s \\\n      %s run \\\n      -f %s \\\n      --run-dir %s \\\n      --pin-dir %s", enter, s.c.Lab.opts.Executable, n.ConfigFile(), n.RunDir(), n.PinDir())},
		{"pull node01's cable (up: put it back)", "nsenter --net=" + s.c.fabric.Path() + " ip link set node01 down"},
		{"remove it all", s.c.Lab.opts.Executable + " lab down"},
	} {
		s.report.line("  %s\n    %s", hint[0], hint[1])
	}
}
