package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/conf/lint"
	"weir/internal/api"
	"weir/internal/cluster"
	"weir/internal/dataplane"
	"weir/internal/director"
	"weir/internal/realserver"
)

// runOptions are the flags of "weir run".
type runOptions struct {
	config, runDir, pinDir, log string
	empty                       bool
	space                       string // the network namespace that was entered for the file
	// fixedRunDir and fixedPinDir say that a folder is the caller's, whatever net_namespace is.
	fixedRunDir, fixedPinDir bool
}

// runCommand is "weir run": the director itself.
func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the director: VRRP, health checks and the data plane",
		Long: `Run the director that a keepalived.conf describes, until SIGTERM or SIGINT.

The data plane goes on when the process ends, however it ends, and the next "weir
run" takes it up with all connections: a restart, or an upgrade, loses nothing. A
master that is stopped keeps its addresses for two seconds, until it is started
again; where it is not, it hands them over to the standby. "weir stop" hands over
at once, and "weir stop --remove" takes the data plane away. A real server stays
one: its address on lo goes with "weir realserver stop".

Where the file says net_namespace NAME, weir runs in that network namespace, with
/run/weir-NAME and /sys/fs/bpf/weir-NAME: the other verbs find it by
--net-namespace NAME.

"weir reload" or SIGHUP has it take up a changed file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fixedRunDir, o.fixedPinDir = cmd.Flags().Changed("run-dir"), cmd.Flags().Changed("pin-dir")
			return run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	d := defaultRun("/etc/keepalived/keepalived.conf")
	flags.StringVarP(&o.config, "config", "f", d.config, "configuration `file`")
	flags.StringVar(&o.runDir, "run-dir", d.runDir, "`folder` for the lock, the socket that other verbs ask, and the real server's state")
	flags.StringVar(&o.pinDir, "pin-dir", d.pinDir, "`folder` of a bpf file system for the data plane's pins")
	flags.StringVar(&o.log, "log", d.log, "`form` of the log on standard error: text or json")
	flags.BoolVar(&o.empty, "empty", false, "allow a file without any virtual_server and vrrp_instance where an earlier weir has left services")
	return cmd
}

// defaultRun is "weir run -f config".
func defaultRun(config string) runOptions {
	return runOptions{config: config, runDir: "/run/weir", pinDir: "/sys/fs/bpf/weir", log: "text"}
}

func run(ctx context.Context, o runOptions) error {
	ignorePipes()
	lines, text, err := openLog(os.Stderr, o.log)
	if err != nil {
		return err
	}
	defer text.close()
	if o = o.in(takeEntered()); o.space == "" { // else it has said so before
		slog.New(lines).Info("weir begins", "version", version(), "process", os.Getpid())
	}
	stream := cluster.NewStream(cluster.Calm(cluster.Log(lines)))
	log := stream.Logger()
	end := &ending{atOnce: endAtOnce(log, text.close)}
	context.AfterFunc(ctx, end.begin)
	if err = withRemedy(serve(ctx, o, text, stream, end)); ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // told to end before it had begun
	}
	if err != nil && !errors.Is(err, errSilent) && o.log == jsonLog {
		log.Error("weir ends", "error", err)
		return errSilent
	}
	return err
}

// serve runs the director until ctx ends, with startup_script before it and shutdown_script
// behind it. Text is for the file's diagnostics.
func serve(ctx context.Context, o runOptions, text io.Writer, stream *cluster.Stream, end *ending) error {
	log := stream.Logger()
	// From here on it kills nobody; one that comes early is taken up once weir runs.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	keeper := findKeeper(o.pinDir)
	loader := &conf.Loader{Linter: lint.Rules}
	cfg, err := readConfig(ctx, loader, o, text, log)
	if err != nil {
		return err
	}
	host, err := thisHost()
	if err != nil {
		return err
	}
	if err := host.needs(); err != nil {
		return err
	}
	if err := raiseFiles(cfg); errors.Is(err, errFewFiles) {
		return err
	} else if err != nil {
		log.Warn(err.Error())
	}
	locks, err := lockAll(o)
	if err != nil {
		return err
	}
	defer locks.unlock()
	takeBack := func() {}
	if dataplane.Unfinished(o.pinDir) {
		takeBack = func() { withdraw(o.pinDir, secondariesIn(o.runDir), log) }
		end.starts(takeBack)
	}
	var holder holder = keeper
	if keeper == nil {
		holder = newCaretaker(cfg, o, log)
	}
	scripts := newLifeScripts(cfg, log)
	defer func() {
		takeBack()
		end.over()
		scripts.shutDown(o.pinDir)
	}()
	return begin{o, cfg, loader, stream, hangups, locks, holder, scripts, end}.direct(ctx)
}

// begin is what a director begins with.
type begin struct {
	runOptions
	cfg     *conf.Config
	loader  *conf.Loader
	stream  *cluster.Stream
	hangups <-chan os.Signal
	locks   *locks
	holder  holder
	scripts *lifeScripts
	end     *ending
}

// direct has a director run with its data plane until ctx ends. The holder goes on with what
// another process has left until the director does.
func (b begin) direct(ctx context.Context) error {
	o, cfg, holder, log := b.runOptions, b.cfg, b.holder, b.stream.Logger()
	taken := false
	defer func() {
		if !taken { // the start has failed
			holder.handOver(takeWithin)
		}
	}()
	if err := b.scripts.startUp(ctx); err != nil {
		return err
	}
	plane, err := openPlane(ctx, cfg, o, b.locks, log)
	if err != nil {
		return err
	}
	first := plane.Unfinished() && !plane.Anew()
	if err := restoreRules(plane, o.runDir); err != nil {
		log.Warn(err.Error())
	}
	if ctx.Err() != nil && !plane.Adopted() { // told to end, and nothing is in service
		return cmp.Or(errors.Join(keepRules(plane, o.runDir), plane.Remove()), ctx.Err())
	}
	machine := director.OnKernel(
		director.Plane{Forwarder: firstStart{plane, ctx}, Leases: plane, Left: plane, Counters: counters{plane}, Run: plane.Run, Off: plane.Off, Opened: plane.Opened},
		thisMachine{realserver.New(filepath.Join(o.runDir, "realserver.json"))}, secondariesIn(o.runDir),
	)
	begun, memory := false, newMemory()
	others := new(otherVRRP)
	others.speaks.Store(len(cfg.VRRPInstances) > 0)
	machine.TakeOver = func() {
		memory.taken()
		begun, taken = ctx.Err() == nil && b.end.stands(), true
		if plane.Anew() { // nothing says here that this director is master
			if err := holder.handOver(takeWithin); err != nil {
				log.Warn(err.Error())
			}
			return
		}
		holder.take()
	}
	notifier, tellEnd, told := startNotifying(cfg, b.stream)
	defer told()
	machine.Reloaded = func(cfg *conf.Config) {
		memory.taken()
		notifier.Set(cfg)
		b.scripts.set(cfg)
		others.speaks.Store(len(cfg.VRRPInstances) > 0)
	}
	d := director.New(cfg, machine, b.stream)
	others.instances = d.Instances
	d.Suspend(true)
	err = direct(ctx, d, directOptions{o, b.loader, b.stream, b.hangups, plane, tablesOf(plane), b.scripts, others})
	tellEnd() // which keeps nobody waiting who is to take over
	if len(d.Kept()) > 0 {
		err = errors.Join(err, leaveOrHandOver(d.Kept(), plane, o, log))
	}
	err = errors.Join(err, keepRules(plane, o.runDir)) // for a version whose tables do not fit
	if begun || plane.Adopted() {
		return errors.Join(err, plane.Close())
	}
	failed := plane.Remove() // it was never in service
	if first {
		_, e := director.RemoveVIPs(secondariesIn(o.runDir))
		failed = errors.Join(failed, e)
	}
	if failed != nil {
		log.Error("take away what the start has set up", "error", failed)
	}
	return cmp.Or(err, failed)
}

// secondariesIn is the file of a run folder that says what promote_secondaries of devices was.
func secondariesIn(runDir string) string { return filepath.Join(runDir, "secondaries.json") }

// realServers is how many a configuration has.
func realServers(cfg *conf.Config) (n int) {
	for _, vs := range cfg.VirtualServers {
		n += len(vs.RealServers)
	}
	return n
}

// openPlane loads the data plane, and takes up what an earlier process has left of it. A first
// start does not wait for the kernel once ctx has ended.
func openPlane(ctx context.Context, cfg *conf.Config, o runOptions, locks *locks, log *slog.Logger) (plane *dataplane.Plane, err error) {
	if !dataplane.Unfinished(o.pinDir) {
		ctx = context.WithoutCancel(ctx)
	}
	tables := cfg.Weir.Tables
	opened := make(chan *dataplane.Plane, 1)
	err = unlessEnded(ctx, func() error {
		p, err := dataplane.Open(dataplane.Options{
			PinDir: o.pinDir, Log: log, Connections: tables.Connections, Templates: tables.Templates,
			Services: tables.Services, RealServers: tables.Servers, Expected: realServers(cfg), Lock: locks.pins,
		})
		opened <- p
		return err
	})
	if err != nil {
		return nil, err
	}
	plane = <-opened
	if plane.Adopted() && !o.empty && len(cfg.VirtualServers)+len(cfg.VRRPInstances) == 0 {
		err := fmt.Errorf("%s has no virtual_server and no vrrp_instance, and an earlier weir has left services: to take all of them away, say weir run --empty, or weir stop --remove", o.config)
		return nil, errors.Join(err, plane.Close())
	}
	return plane, nil
}

// directOptions are what a director runs with.
type directOptions struct {
	runOptions
	loader  *conf.Loader
	stream  *cluster.Stream
	hangups <-chan os.Signal
	rules   api.Rules
	tables  func() []api.Table
	scripts *lifeScripts
	others  *otherVRRP
}

// direct runs the director, and takes up files while it does. The socket answers
// until the director has ended and has told so.
func direct(ctx context.Context, d *director.Director, o directOptions) error {
	ended := func() { o.stream.Publish(cluster.DirectorStopped(names(d.Kept())...)) }
	server, err := api.Listen(o.runDir, o.config, o.loader, d, o.stream)
	if err != nil {
		ended()
		return err
	}
	defer server.Close()
	server.ServeRules(o.rules)
	server.OtherVRRP, server.Tables = o.others.Found, o.tables
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, handOver := context.WithCancel(ctx)
	defer handOver()
	server.Stop = func() {
		d.Suspend(false)
		handOver()
	}
	server.StopTakes = o.scripts.atMost
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		defer stop()
		defer ended()
		return d.Run(ctx)
	})
	tasks.Go(func() error { return server.Run(serving) })
	go reloadOnHangup(ctx, o.hangups, server) // nobody waits for it: a disk may hang
	tasks.Go(func() error { return watchFirewall(ctx, o.stream) })
	tasks.Go(func() error { return o.others.watch(ctx, o.stream) })
	return tasks.Wait()
}

// names are the instances of masterships.
func names(kept []director.Kept) (list []string) {
	for _, k := range kept {
		list = append(list, k.Config.Name)
	}
	return list
}

// reloadOnHangup takes up the file that runs at each SIGHUP.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, server *api.Server) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			server.ReloadUnseen()
		}
	}
}

// thisMachine takes packets out of tunnels by the kernel's devices where it has
// them, on every device, from anybody: a director is not always known.
type thisMachine struct{ *realserver.RealServer }

func (m thisMachine) StartTunnel(vips []netip.Addr, devices ...string) error {
	return m.RealServer.StartTunnel(vips, realserver.Tunnel{}, devices...)
}
