package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"time"

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

"weir reload" or SIGHUP has it take up a changed file.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	d := defaultRun("/etc/keepalived/keepalived.conf")
	flags.StringVarP(&o.config, "config", "f", d.config, "configuration `file`")
	flags.StringVar(&o.runDir, "run-dir", d.runDir, "`folder` for the lock, the socket that other verbs ask, and the real server's state")
	flags.StringVar(&o.pinDir, "pin-dir", d.pinDir, "`folder` of a bpf file system for the data plane's pins")
	flags.StringVar(&o.log, "log", d.log, "`form` of the log on standard error: text or json")
	return cmd
}

// defaultRun is "weir run -f config".
func defaultRun(config string) runOptions {
	return runOptions{config: config, runDir: "/run/weir", pinDir: "/sys/fs/bpf/weir", log: "text"}
}

func run(ctx context.Context, o runOptions) error {
	ignorePipes()
	lines, flush, err := openLog(os.Stderr, o.log)
	if err != nil {
		return err
	}
	defer flush()
	stream := cluster.NewStream(cluster.Log(lines))
	log := stream.Logger()
	context.AfterFunc(ctx, func() { time.AfterFunc(endWithin, endAtOnce(log, flush)) })
	// From here on it kills nobody; one that comes early is taken up once weir runs.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	keeper := findKeeper(o.pinDir)
	loader := &conf.Loader{Linter: lint.Rules}
	cfg, diagnostics, err := api.Read(loader, o.config)
	if err := diagnostics.Render(os.Stderr, colourful(os.Stderr)); err != nil {
		return err
	}
	if errors.Is(err, api.ErrMistakes) {
		return errSilent
	}
	if err != nil {
		return err
	}
	unlock, err := lock(o.runDir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := raiseFiles(cfg); err != nil {
		log.Warn(err.Error())
	}
	var holder holder = keeper
	if keeper == nil {
		holder = newCaretaker(cfg, o.pinDir, log)
	}
	taken := false
	defer func() {
		if !taken { // the start has failed
			holder.handOver(takeWithin)
		}
	}()
	tables := cfg.Weir.Tables
	plane, err := dataplane.Open(dataplane.Options{
		PinDir: o.pinDir, Log: log, Connections: tables.Connections, Templates: tables.Templates,
		Services: tables.Services, RealServers: tables.Servers,
	})
	if err != nil {
		return err
	}
	machine := director.OnKernel(
		director.Plane{Forwarder: plane, Leases: plane, Left: plane, Counters: counters{plane}, Run: plane.Run},
		thisMachine{realserver.New(filepath.Join(o.runDir, "realserver.json"))},
	)
	begun := false
	machine.TakeOver = func() {
		begun, taken = true, true
		if plane.Anew() { // nothing says here that this director is master
			if err := holder.handOver(takeWithin); err != nil {
				log.Warn(err.Error())
			}
			return
		}
		holder.take()
	}
	d := director.New(cfg, machine, stream)
	d.Suspend(true)
	err = direct(ctx, d, directOptions{o, loader, stream, hangups})
	if len(d.Kept()) > 0 {
		err = errors.Join(err, leave(d.Kept(), o))
	}
	if begun || plane.Adopted() {
		return errors.Join(err, plane.Close())
	}
	return errors.Join(err, plane.Remove()) // it was never in service
}

// directOptions are what a director runs with.
type directOptions struct {
	runOptions
	loader  *conf.Loader
	stream  *cluster.Stream
	hangups <-chan os.Signal
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
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, handOver := context.WithCancel(ctx)
	defer handOver()
	server.Stop = func() {
		d.Suspend(false)
		handOver()
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		defer stop()
		defer ended()
		return d.Run(ctx)
	})
	tasks.Go(func() error { return server.Run(serving) })
	go reloadOnHangup(ctx, o.hangups, server) // nobody waits for it: a disk may hang
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
			server.Reload(api.Request{})
		}
	}
}

// thisMachine takes packets out of tunnels by the kernel's devices where it has
// them, on every device, from anybody: a director is not always known.
type thisMachine struct{ *realserver.RealServer }

func (m thisMachine) StartTunnel(vips []netip.Addr, devices ...string) error {
	return m.RealServer.StartTunnel(vips, realserver.Tunnel{}, devices...)
}

// newLog writes records in the form that --log names.
func newLog(w io.Writer, form string) (slog.Handler, error) {
	switch form {
	case "text":
		return slog.NewTextHandler(w, nil), nil
	case "json":
		return slog.NewJSONHandler(w, nil), nil
	}
	return nil, fmt.Errorf("--log %s: expected text or json", form)
}

// openLog is newLog to a queue that makes nobody wait. Flush writes what waits in it.
func openLog(w io.Writer, form string) (lines slog.Handler, flush func(), err error) {
	q := newLineQueue(w, func(n int) []byte {
		var b bytes.Buffer
		if h, err := newLog(&b, form); err == nil {
			slog.New(h).Warn("lines of the log were dropped: nobody reads them", "lines", n)
		}
		return b.Bytes()
	})
	if lines, err = newLog(q, form); err != nil {
		q.close()
	}
	return lines, q.close, err
}

// ignorePipes keeps the process alive where the reader of its log has ended. Programs that
// it starts get the signal as ever.
func ignorePipes() { signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) }

// endWithin is how long a process that is told to end may take. Whatever hangs then is left
// behind: leases run out, as those of one that was killed.
const endWithin = 5 * time.Second

// endAtOnce ends the process.
func endAtOnce(log *slog.Logger, flush func()) func() {
	return func() {
		log.Error("the end takes too long, ending without it", "after", endWithin)
		flush()
		os.Exit(1)
	}
}

// lockName is the file that a running weir holds locked, in its run folder.
const lockName = "weir.lock"

// lock keeps a second weir from running with the same folder. The kernel
// releases it with the process, however that ends.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another weir runs with %s: stop it, or give this one its own --run-dir and --pin-dir", dir)
	}
	return func() { f.Close() }, nil
}
