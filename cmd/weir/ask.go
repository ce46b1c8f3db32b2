package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"weir/internal/api"
)

// askOptions are the flags of the verbs that ask the weir that runs.
type askOptions struct {
	runDir string
	space  string // the network namespace of the weir that runs
	asJSON bool
	empty  bool
}

func (o *askOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.runDir, "run-dir", defaultRun("").runDir, "`folder` of the weir that runs")
	addNamespaceFlag(cmd, &o.space, &o.runDir, nil)
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
}

// emptyFlag is the flag of the verbs that may take everything away.
func (o *askOptions) emptyFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.empty, "empty", false, "allow a file without any virtual_server and vrrp_instance while weir runs services")
}

// ask asks for a plan or a reload, and shows the file's diagnostics.
func (o *askOptions) ask(cmd *cobra.Command, args []string, verb func(*api.Client, context.Context, api.Request) (api.Answer, error)) (answer api.Answer, err error) {
	var request api.Request
	if len(args) > 0 {
		if request, err = given(cmd.Context(), cmd.InOrStdin(), args[0], inputWithin); err != nil {
			return answer, err
		}
	}
	request.Empty, request.Colour = o.empty, colourful(cmd.ErrOrStderr())
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

// show prints what would change, or has been done.
func (o *askOptions) show(cmd *cobra.Command, answer api.Answer, done bool) error {
	out := cmd.OutOrStdout()
	if !o.asJSON {
		return showChanges(out, answer, done, colourful(out))
	}
	answer.Diagnostics = "" // they have been shown
	return printJSON(out, answer)
}

// printJSON prints a value as people and programs read it.
func printJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
