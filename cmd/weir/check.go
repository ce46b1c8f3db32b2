package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/conf"
)

// checkCommand is "weir check FILE...": it reads configurations and shows all
// that is wrong with them. Warnings alone are no failure.
func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Read configuration files and show every mistake",
		Long: `Read keepalived.conf files, each with what it includes, and show every mistake
with its line and what was expected. Nothing is changed or started.

The exit code is 1 when a file has an error, and 0 otherwise.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return check(cmd.OutOrStdout(), paths)
		},
	}
}

// check shows the diagnostics of all files together, and a line for each file
// that has none.
func check(out io.Writer, paths []string) error {
	var all conf.Diagnostics
	for _, path := range paths {
		cfg, diags := conf.Load(path)
		all.Append(diags)
		if cfg != nil && len(diags.All()) == 0 {
			fmt.Fprintf(out, "%s: ok: %s\n", path, cfg.Summary())
		}
	}
	if err := all.Render(out, colourful(out)); err != nil {
		return fmt.Errorf("write the diagnostics: %w", err)
	}
	if all.HasErrors() {
		return errSilent
	}
	return nil
}

// colourful tells whether out is a terminal whose user has not asked for plain
// text (no-color.org).
func colourful(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
