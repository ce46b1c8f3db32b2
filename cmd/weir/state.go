package main

import (
	"errors"

	"github.com/spf13/cobra"

	"weir/conf"
	"weir/conf/lint"
	"weir/internal/api"
	"weir/internal/director"
)

// showStateCommand is "weir show state [FILE]".
func showStateCommand() *cobra.Command {
	var runDir, space string
	cmd := &cobra.Command{
		Use:   "state [FILE]",
		Short: "Show what a start with a file would set up on this machine, or what the running weir has",
		Long: `Show, as JSON, what a start with the file would set up on this machine as it is:
the address and the interface that each VRRP instance speaks by, or why it could
not take part, the devices of the data plane, this machine as a real server, and
the next hops to the real servers. It reads the file and the machine, and touches
nothing. Without a file the running weir tells what it has set up: whatever has
happened to the machine's devices, addresses and routes, that is the same.

Times, counters, results of checks and who is master are no part of it.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var state director.State
			if len(args) > 0 {
				state, err = computeState(cmd, args[0])
			} else {
				state, err = api.NewClient(runDir).State(cmd.Context())
			}
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), state)
		},
	}
	cmd.Flags().StringVar(&runDir, "run-dir", defaultRun("").runDir, "`folder` of the weir that runs")
	addNamespaceFlag(cmd, &space, &runDir, nil)
	return cmd
}

// computeState reads a file, with its mistakes, and works out the state.
func computeState(cmd *cobra.Command, file string) (director.State, error) {
	cfg, diagnostics, err := api.Read(&conf.Loader{Linter: lint.Rules}, file)
	if e := diagnostics.Render(cmd.ErrOrStderr(), colourful(cmd.ErrOrStderr())); e != nil {
		return director.State{}, e
	}
	if errors.Is(err, api.ErrMistakes) {
		return director.State{}, errSilent
	}
	if err != nil {
		return director.State{}, err
	}
	return director.Compute(cfg)
}
