package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/internal/lab"
)

// labCommand is `weir lab`: clusters in network namespaces on this machine.
func labCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "Build clusters in network namespaces on this machine",
		Long: `Build clusters in network namespaces on this machine, with real weir and web
server processes in them, and remove everything afterwards. Needs root.`,
	}
	c.AddCommand(labSeedCommand(), labListCommand(), labDownCommand(), labWebCommand())
	return c
}

func labSeedCommand() *cobra.Command {
	var keep, peerProbe bool
	var rate int
	c := &cobra.Command{
		Use:   "seed",
		Short: "Tell the story of two directors that are also the web servers",
		Long: `Build a client, a switch and two machines that are each a director and a web
server, running examples/seed unchanged. Then stop a web server and start it
again, let the master director die and bring it back, and measure at each step
what the clients saw. The exit code is 0 only if every step held.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if rate < 1 || rate > 1000 {
				return fmt.Errorf("--rate is %d requests/s, expected 1 to 1000", rate)
			}
			return lab.Seed(c.Context(), c.OutOrStdout(), lab.SeedOptions{
				Options: lab.Options{Keep: keep, Logger: slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))},
				Rate:    rate, Terminal: isTerminal(c.OutOrStdout()), PeerProbe: peerProbe,
			})
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave the cluster up afterwards, and say how to play with it")
	c.Flags().BoolVar(&peerProbe, "peer-probe", false, "add weir { peer_probe } to both files: a dead director's web server is out at once")
	c.Flags().IntVar(&rate, "rate", 200, "requests per second of the steady stream")
	return c
}

func labListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the labs on this machine",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := lab.List()
			if len(found) == 0 && err == nil {
				fmt.Fprintln(c.OutOrStdout(), "no lab is on this machine")
			}
			for _, f := range found {
				fmt.Fprintf(c.OutOrStdout(), "%-12s %-6s %s\n", f.ID, f.State, f.Command)
			}
			return err
		},
	}
}

func labDownCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove every lab that is kept or was left behind",
		Long: `Remove the processes, namespaces, BPF pins and directories of every lab that
was kept with --keep or whose owner died over it. Labs whose owner lives are
named and left alone.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			removed, alive, err := lab.Down(slog.New(slog.DiscardHandler))
			for _, f := range removed {
				fmt.Fprintf(c.OutOrStdout(), "lab %s (%s) removed\n", f.ID, f.State)
			}
			for _, f := range alive {
				fmt.Fprintf(c.OutOrStdout(), "lab %s left alone: its owner lives, process %d: %s\n", f.ID, f.Pid, f.Command)
			}
			if len(removed)+len(alive) == 0 && err == nil {
				fmt.Fprintln(c.OutOrStdout(), "no lab was on this machine")
			}
			return err
		},
	}
}

// labWebCommand is the web server of a lab's nodes.
func labWebCommand() *cobra.Command {
	var name, listen string
	c := &cobra.Command{
		Use:    "web",
		Short:  "Run the small web server of a lab's node",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return lab.Web(c.Context(), slog.New(slog.NewJSONHandler(c.ErrOrStderr(), nil)), listen, name)
		},
	}
	c.Flags().StringVar(&name, "name", "", "the page that answers every request")
	c.Flags().StringVar(&listen, "listen", "0.0.0.0:80", "the address and port to listen on")
	cobra.CheckErr(c.MarkFlagRequired("name"))
	return c
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
