package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/internal/api"
	"weir/internal/dataplane"
	"weir/internal/director"
)

// stopOptions are the flags of "weir stop".
type stopOptions struct {
	runDir, pinDir string
	space          string // the network namespace of the weir that runs
	remove         bool
	within         time.Duration
}

// stopCommand is "weir stop".
func stopCommand() *cobra.Command {
	d := defaultRun("")
	o := stopOptions{within: 10 * time.Second}
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the director: hand over, or take everything away",
		Long: `Stop the running weir. A master hands its addresses over to the standby first, at
once: SIGTERM, which may be the first half of a restart, waits two seconds for the
second half. The data plane stays pinned and forwards the connections that it has;
the next "weir run" takes it up.

With --remove the data plane is taken away as well, with all connections and with
addresses that weir has left on devices, whether weir runs or not. A package that
is removed calls this.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if takeEntered() != o.space { // what is to be handed over or taken away is there
				err := enterNamespace(cmd.Context(), o.space)
				if errors.Is(err, errGone) {
					return fmt.Errorf("net namespace %s is gone, and with it its devices and addresses: end a weir that still runs there by its process number; rm -r %s takes the data plane's pins away", o.space, o.pinDir)
				}
				return fmt.Errorf("net namespace %s: %w", o.space, err)
			}
			return stopWeir(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.runDir, "run-dir", d.runDir, "`folder` of the weir that runs")
	flags.StringVar(&o.pinDir, "pin-dir", d.pinDir, "`folder` of the data plane's pins")
	addNamespaceFlag(cmd, &o.space, &o.runDir, &o.pinDir)
	flags.BoolVar(&o.remove, "remove", false, "take the data plane away, with all connections")
	return cmd
}

func stopWeir(ctx context.Context, out io.Writer, o stopOptions) error {
	asking, cancel := o.bounded(ctx, 0)
	defer cancel()
	script, err := api.NewClient(o.runDir).Stop(asking)
	switch k := findKeeper(o.pinDir); {
	case err == nil:
		ending, cancel := o.bounded(ctx, script)
		defer cancel()
		if err := waitUnlocked(ending, filepath.Join(o.runDir, lockName)); err != nil {
			return err
		}
		fmt.Fprintln(out, "weir has stopped.")
	case !errors.Is(err, api.ErrNoWeir):
		return err
	case k != nil:
		if err := k.handOver(o.within); err != nil {
			return err
		}
		fmt.Fprintln(out, "The masterships that waited for a restart are handed over.")
	case !o.remove:
		return err
	}
	if !o.remove {
		return nil
	}
	return removeLeft(out, o)
}

// bounded bounds how long weir may take to end; its shutdown_script has a time of its own.
func (o stopOptions) bounded(ctx context.Context, script time.Duration) (context.Context, context.CancelFunc) {
	most := o.within + script
	return context.WithTimeoutCause(ctx, most, fmt.Errorf("weir does not end within %v: end it by its process number", most))
}

// removeLeft takes away what a weir that has ended left.
func removeLeft(out io.Writer, o stopOptions) error {
	left, err := director.RemoveVIPs(secondariesIn(o.runDir))
	for _, what := range left {
		fmt.Fprintf(out, "Removed %s.\n", what)
	}
	removed, e := dataplane.RemovePinned(o.pinDir)
	switch {
	case removed:
		fmt.Fprintf(out, "The data plane pinned in %s is taken away.\n", o.pinDir)
	case e == nil:
		fmt.Fprintf(out, "No data plane is pinned in %s.\n", o.pinDir)
	}
	return errors.Join(err, e)
}

// waitUnlocked waits until nobody holds a lock any more.
func waitUnlocked(ctx context.Context, path string) error {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil // it is gone
		}
		err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
		unix.Close(fd)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
