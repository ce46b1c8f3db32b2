package main

import (
	"github.com/spf13/cobra"

	"weir/internal/api"
)

// exitChanges is the exit code of a plan that would change something.
const exitChanges = 2

// planCommand is "weir plan [FILE]".
func planCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Show what a reload would change, and which connections it touches",
		Long: `Ask the running weir what a reload of the file would change: virtual servers and
real servers that are added, removed or changed, the live connections of each,
and VRRP instances that would change state. Without a file it is the one that
runs; - is standard input. Nothing is changed.

The exit code is 0 when a reload would change nothing, 2 when it would change
something, and 1 when the file has mistakes or a reload would be refused.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := o.ask(cmd, args, (*api.Client).Plan)
			if err != nil {
				return err
			}
			if err := o.show(cmd, answer, false); err != nil {
				return err
			}
			if !answer.Changes.Empty() {
				return exitCode(exitChanges)
			}
			return nil
		},
	}
	o.flags(cmd)
	o.emptyFlag(cmd)
	return cmd
}
