package main

import (
	"github.com/spf13/cobra"

	"weir/internal/api"
)

// reloadCommand is "weir reload [FILE]".
func reloadCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "reload [FILE]",
		Short: "Have the running weir take up a file, as one transaction",
		Long: `Have the running weir do what the file says: all of it, or, where something cannot
be, none. Without a file it is the one that runs; SIGHUP does the same. Another
file is the one that runs from then on, until a restart. What comes by standard
input (-) or a pipe runs until the next reload, which reads the file again. A file
without any virtual_server and vrrp_instance is refused while weir runs services,
unless --empty says that everything is to go.

What stays is not touched: connections, the turn of a scheduler, the verdicts of
checks, VRRP states. "weir plan" shows beforehand what changes. The sizes of the
tables take a restart.

The exit code is 0, or 1 when everything is as it was.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := o.ask(cmd, args, (*api.Client).Reload)
			if err != nil {
				return err
			}
			return o.show(cmd, answer, true)
		},
	}
	o.flags(cmd)
	o.emptyFlag(cmd)
	return cmd
}
