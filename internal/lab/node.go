package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"weir/internal/cluster"
)

// Node is one machine of a cluster: a namespace, and up to two programs in
// it, weir and a web server.
type Node struct {
	Spec NodeSpec
	// Log and WebLog are what the two programs say, over all their restarts.
	Log, WebLog *Log

	cluster *Cluster
	ns      *Namespace
	web     *Process // nil before its first start

	events *Events

	// mu lets View be called from elsewhere than what starts and stops weir.
	mu       sync.Mutex
	weir     *Process  // nil before its first start
	launched time.Time // when the present weir process was
}

func newNode(c *Cluster, spec NodeSpec) *Node {
	return &Node{
		Spec: spec, cluster: c, events: newEvents(),
		Log:    newLog(c.Dir(spec.Name, "weir.log")),
		WebLog: newLog(c.Dir(spec.Name, "web.log")),
	}
}

// boot makes the machine's namespace and files, as after a power-on: no
// virtual address, no data plane, no neighbour is left from before.
func (n *Node) boot() error {
	if err := os.RemoveAll(n.RunDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(n.RunDir(), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(n.ConfigFile(), []byte(n.Spec.Config), 0o644); err != nil {
		return err
	}
	ns, err := n.cluster.plugIn(n.Spec.Name, n.Spec.Addr)
	n.ns = ns
	return err
}

// Namespace is the node's network namespace; another one after a boot.
func (n *Node) Namespace() *Namespace { return n.ns }

// ConfigFile is the node's keepalived.conf, RunDir the run directory of its
// weir, PinDir where its data plane pins.
func (n *Node) ConfigFile() string { return n.cluster.Dir(n.Spec.Name, "keepalived.conf") }
func (n *Node) RunDir() string     { return n.cluster.Dir(n.Spec.Name, "run") }
func (n *Node) PinDir() string     { return n.cluster.PinDir(n.Spec.Name) }

// Weir and Web are the node's programs; nil where it has none.
func (n *Node) Weir() *Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.weir
}

func (n *Node) Web() *Process { return n.web }

// StartWeir starts the director and waits until it tells that it has started. A node
// without a configuration has none.
func (n *Node) StartWeir(ctx context.Context) error {
	if err := n.launchWeir(); err != nil {
		return err
	}
	return n.waitStarted(ctx)
}

func (n *Node) launchWeir() error {
	if n.Spec.Config == "" {
		return nil
	}
	if n.weir != nil && n.weir.Running() {
		return fmt.Errorf("start weir on %s: it runs already, as process %d", n.Spec.Name, n.weir.Pid())
	}
	launched := time.Now()
	args := []string{"run", "-f", n.ConfigFile(), "--run-dir", n.RunDir(), "--pin-dir", n.PinDir(), "--log", "json"}
	process, err := n.start(Command{
		Name: "weir on " + n.Spec.Name, Args: append(args, n.Spec.RunArgs...), Log: n.Log.Path(),
	})
	if process != nil {
		n.mu.Lock()
		n.weir, n.launched = process, launched
		n.mu.Unlock()
		n.events.follow(process, n.RunDir())
	}
	return err
}

func (n *Node) waitStarted(ctx context.Context) error {
	if n.Spec.Config == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	_, err := n.Wait(ctx, "weir to start", IsKind(cluster.Began))
	return err
}

// StopWeir stops the director for good, by "weir stop": it hands over first.
func (n *Node) StopWeir(ctx context.Context) error {
	if n.weir == nil {
		return fmt.Errorf("stop weir on %s: it was never started", n.Spec.Name)
	}
	if _, err := n.Exec(ctx, "stop", "--run-dir", n.RunDir(), "--pin-dir", n.PinDir()); err != nil {
		return err
	}
	return n.weir.Wait(ctx)
}

// TerminateWeir sends SIGTERM to the director, as a service manager does that stops or
// restarts it.
func (n *Node) TerminateWeir(ctx context.Context) error {
	if n.weir == nil {
		return fmt.Errorf("stop weir on %s: it was never started", n.Spec.Name)
	}
	return n.weir.Stop(ctx)
}

// KillWeir ends the director with SIGKILL. Its data plane stays attached.
func (n *Node) KillWeir() error {
	if n.weir == nil {
		return fmt.Errorf("kill weir on %s: it was never started", n.Spec.Name)
	}
	return n.weir.Kill()
}

// StartWeb starts the web server, on port 80 of every address, and waits
// until it listens. A node without a page has none.
func (n *Node) StartWeb(ctx context.Context) error {
	if n.Spec.Web == "" {
		return nil
	}
	if n.web != nil && n.web.Running() {
		return fmt.Errorf("start the web server of %s: it runs already, as process %d", n.Spec.Name, n.web.Pid())
	}
	mark := n.WebLog.Mark()
	process, err := n.start(Command{
		Name: "web server of " + n.Spec.Name,
		Args: []string{"lab", "web", "--name", n.Spec.Web},
		Log:  n.WebLog.Path(),
	})
	if err != nil {
		return err
	}
	n.web = process
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not within %v", startTimeout))
	defer cancel()
	_, err = n.WebLog.Wait(ctx, mark, process, process.Name+" to listen", func(r Record) bool { return r.Msg == "listening" })
	return err
}

// StopWeb stops the web server: connections to it are refused from then on.
func (n *Node) StopWeb(ctx context.Context) error {
	if n.web == nil {
		return fmt.Errorf("stop the web server of %s: it has none", n.Spec.Name)
	}
	return n.web.Stop(ctx)
}

// WebCount asks the node's web server, from inside the node, how many
// requests it answered since its start.
func (n *Node) WebCount(ctx context.Context) (int, error) {
	r := get(ctx, n.ns, n.Spec.Addr.Addr().String()+":80", countPath)
	if r.Err != nil {
		return 0, fmt.Errorf("ask the web server of %s for its count: %w", n.Spec.Name, r.Err)
	}
	return strconv.Atoi(r.By)
}

// Unplug pulls the node's cable at the switch, Plug puts it back.
func (n *Node) Unplug() error { return n.cluster.fabric.SetDown(n.Spec.Name) }
func (n *Node) Plug() error   { return n.cluster.fabric.SetUp(n.Spec.Name) }

// Die lets the machine die: its cable is dead first, so that no last word
// gets out, then its programs.
func (n *Node) Die() error {
	if err := n.Unplug(); err != nil {
		return err
	}
	for _, p := range []*Process{n.weir, n.web} {
		if p == nil {
			continue
		}
		if err := p.Kill(); err != nil {
			return err
		}
	}
	return nil
}

// Reboot brings a dead machine back as a boot does: with a new namespace in
// which nothing is left from before. No program runs in it yet; Return starts
// them too.
func (n *Node) Reboot() error {
	if err := n.cluster.RemoveNamespace(n.Spec.Name); err != nil {
		return fmt.Errorf("reboot %s: %w", n.Spec.Name, err)
	}
	if err := n.boot(); err != nil {
		return fmt.Errorf("reboot %s: %w", n.Spec.Name, err)
	}
	return nil
}

// Return brings a dead machine back, with its web server, then its director.
func (n *Node) Return(ctx context.Context) error {
	if err := n.Reboot(); err != nil {
		return err
	}
	if err := n.StartWeb(ctx); err != nil {
		return err
	}
	if err := n.setUpRealServer(ctx); err != nil {
		return err
	}
	return n.StartWeir(ctx)
}

func (n *Node) setUpRealServer(ctx context.Context) error {
	if len(n.Spec.RealServer) == 0 {
		return nil
	}
	_, err := n.Exec(ctx, append([]string{"realserver"}, n.Spec.RealServer...)...)
	return err
}

// Exec runs weir with these arguments inside the node until it ends, and
// returns what it printed. An exit code other than 0 is an error.
func (n *Node) Exec(ctx context.Context, args ...string) ([]byte, error) {
	output, err := os.CreateTemp(n.cluster.Dir(n.Spec.Name), "exec-*.log")
	if err != nil {
		return nil, err
	}
	output.Close()
	defer os.Remove(output.Name())
	p, err := n.start(Command{
		Name: fmt.Sprintf("weir %s on %s", args[0], n.Spec.Name), Args: args, Log: output.Name(),
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		err = errors.Join(fmt.Errorf("%s did not end: %w", p.Name, context.Cause(ctx)), p.Kill())
	case <-p.Done():
		err = p.err
	}
	printed, readErr := os.ReadFile(output.Name())
	if err != nil {
		return printed, fmt.Errorf("%s: %w: %s", p.Name, err, printed)
	}
	return printed, readErr
}

// start runs weir with the command's arguments in the node.
func (n *Node) start(c Command) (*Process, error) {
	c.Path = n.cluster.Lab.opts.Executable
	return n.cluster.Lab.Start(n.ns, c)
}
