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
	flags.StringVar(&o.runDir, "run-dir", d.runDir, "`folder` for the lock, the socket that plan and reload use, and the real server's state")
	flags.StringVar(&o.pinDir, "pin-dir", d.pinDir, "`folder` of a bpf file system for the data plane's pins")
	flags.StringVar(&o.log, "log", d.log, "`form` of the log on standard error: text or json")
	return cmd
}

// defaultRun is "weir run -f config".
func defaultRun(config string) runOptions {
	return runOptions{config: config, runDir: "/run/weir", pinDir: "/sys/fs/bpf/weir", log: "text"}
}

func run(ctx context.Context, o runOptions) error {
	log, err := newLogger(os.Stderr, o.log)
	if err != nil {
		return err
	}
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
	tables := cfg.Weir.Tables
	plane, err := dataplane.Open(dataplane.Options{
		PinDir: o.pinDir, Log: log, Connections: tables.Connections, Templates: tables.Templates,
		Services: tables.Services, RealServers: tables.Servers,
	})
	if err != nil {
		return err
	}
	rs := thisMachine{realserver.New(filepath.Join(o.runDir, "realserver.json"))}
	err = direct(ctx, director.New(cfg, plane, rs, log), loader, o, hangups, log)
	if ctx.Err() == nil && plane.Adopted() {
		// Not asked to stop: what an earlier process left forwards on.
		return errors.Join(err, plane.Close())
	}
	log.Info("stopped")
	return errors.Join(err, plane.Remove())
}

// direct runs the director, and takes up files while it does.
func direct(ctx context.Context, d *director.Director, loader *conf.Loader, o runOptions, hangups <-chan os.Signal, log *slog.Logger) error {
	server, err := api.Listen(o.runDir, o.config, loader, d, log)
	if err != nil {
		return err
	}
	defer server.Close()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.Run(ctx) })
	tasks.Go(func() error { return server.Run(ctx) })
	tasks.Go(func() error { return reloadOnHangup(ctx, hangups, server) })
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

func newLogger(w io.Writer, form string) (*slog.Logger, error) {
	switch form {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
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
