package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"weir/internal/api"
)

// exitChanges is the exit code of a plan that would change something.
const exitChanges = 2

// askOptions are the flags of "weir plan" and "weir reload".
type askOptions struct {
	runDir string
	asJSON bool
}

// planCommand is "weir plan [FILE]".
func planCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Show what a reload would change, and which connections it touches",
		Long: `Ask the running weir what a reload of the file would change: virtual servers and
real servers that are added, removed or changed, the live connections of each,
and VRRP instances that would change state. Without a file it is the one that
runs. Nothing is changed.

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
	return cmd
}

// reloadCommand is "weir reload [FILE]".
func reloadCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "reload [FILE]",
		Short: "Have the running weir take up a file, as one transaction",
		Long: `Have the running weir do what the file says: all of it, or, where something cannot
be, none. Without a file it is the one that runs; SIGHUP does the same. Another
file is the one that runs from then on, until a restart.

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
	return cmd
}

func (o *askOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.runDir, "run-dir", defaultRun("").runDir, "`folder` of the weir that runs")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
}

// ask asks, and shows the file's diagnostics.
func (o *askOptions) ask(cmd *cobra.Command, args []string, verb func(*api.Client, context.Context, api.Request) (api.Answer, error)) (answer api.Answer, err error) {
	request := api.Request{Colour: colourful(cmd.ErrOrStderr())}
	if len(args) > 0 {
		if request.File, err = filepath.Abs(args[0]); err != nil {
			return answer, err
		}
	}
	answer, err = verb(api.NewClient(o.runDir), cmd.Context(), request)
	if err != nil {
		return answer, err
	}
	fmt.Fprint(cmd.ErrOrStderr(), answer.Diagnostics)
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

func (o *askOptions) show(cmd *cobra.Command, answer api.Answer, done bool) error {
	out := cmd.OutOrStdout()
	if !o.asJSON {
		return showChanges(out, answer, done, colourful(out))
	}
	answer.Diagnostics = "" // they have been shown
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(answer)
}
