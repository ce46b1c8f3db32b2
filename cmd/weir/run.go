package main

import (
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
}

// runCommand is "weir run": the director itself.
func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the director: VRRP, health checks and the data plane",
		Long: `Run the director that a keepalived.conf describes, until SIGTERM or SIGINT.

A stop is clean: a master hands its addresses over before it leaves, and the
data plane is taken away. When the process dies instead, the data plane goes on,
and the next "weir run" takes it up. A real server stays one: its address on lo
goes with "weir realserver stop".

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
	lines, err := newLog(os.Stderr, o.log)
	if err != nil {
		return err
	}
	stream := cluster.NewStream(cluster.Log(lines))
	log := stream.Logger()
	// From here on it kills nobody; one that comes early is taken up once weir runs.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
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
	tables := cfg.Weir.Tables
	plane, err := dataplane.Open(dataplane.Options{
		PinDir: o.pinDir, Log: log, Connections: tables.Connections, Templates: tables.Templates,
		Services: tables.Services, RealServers: tables.Servers,
	})
	if err != nil {
		return err
	}
	if err := restoreRules(plane, o.runDir); err != nil {
		log.Warn(err.Error())
	}
	machine := director.OnKernel(
		director.Plane{Forwarder: plane, Leases: plane, Left: plane, Counters: counters{plane}, Run: plane.Run},
		thisMachine{realserver.New(filepath.Join(o.runDir, "realserver.json"))},
	)
	// Not asked to stop: what an earlier process left forwards on.
	leave := func() bool { return ctx.Err() == nil && plane.Adopted() }
	err = direct(ctx, director.New(cfg, machine, stream), directOptions{o, loader, stream, hangups, plane}, func() {
		if !leave() {
			stream.Publish(cluster.DirectorStopped())
		}
	})
	if leave() {
		return errors.Join(err, plane.Close())
	}
	return errors.Join(err, keepRules(plane, o.runDir), plane.Remove())
}

// directOptions are what a director runs with.
type directOptions struct {
	runOptions
	loader  *conf.Loader
	stream  *cluster.Stream
	hangups <-chan os.Signal
	rules   api.Rules
}

// direct runs the director, and takes up files while it does. The socket answers
// until the director has ended and ended has told so.
func direct(ctx context.Context, d *director.Director, o directOptions, ended func()) error {
	server, err := api.Listen(o.runDir, o.config, o.loader, d, o.stream)
	if err != nil {
		ended()
		return err
	}
	defer server.Close()
	server.ServeRules(o.rules)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		defer stop()
		defer ended()
		return d.Run(ctx)
	})
	tasks.Go(func() error { return server.Run(serving) })
	tasks.Go(func() error { return reloadOnHangup(ctx, o.hangups, server) })
	tasks.Go(func() error { return watchFirewall(ctx, o.stream) })
	return tasks.Wait()
}

// reloadOnHangup takes up the file that runs at each SIGHUP.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, server *api.Server) error {
	for {
		select {
		case <-ctx.Done():
			return nil
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

// lock keeps a second weir from running with the same folder. The kernel
// releases it with the process, however that ends.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the run folder: %w", err)
	}
	path := filepath.Join(dir, "weir.lock")
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
