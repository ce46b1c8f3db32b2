package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"weir/conf"
)

// formatCommand is "weir fmt [FILE...]": the canonical layout.
func formatCommand() *cobra.Command {
	var write, differ bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Lay configuration files out canonically",
		Long: `Print keepalived.conf files in their canonical layout: four blanks for each
block around a line, one between words, braces where they belong. Comments,
quotes and words stay as they are, and the meaning does. - is standard input;
without a file it is /etc/keepalived/keepalived.conf.

The exit code is 1 when a file cannot be laid out, because its braces or quotes
do not fit, and with -d when one is not laid out yet.`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			return format(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), filesOf(paths), write, differ)
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the files instead of printing them")
	cmd.Flags().BoolVarP(&differ, "diff", "d", false, "print what would change instead")
	return cmd
}

func format(ctx context.Context, in io.Reader, out, errs io.Writer, paths []string, write, differ bool) error {
	var all conf.Diagnostics
	changed := false
	for _, path := range paths {
		text, err := readInput(ctx, in, path)
		if err != nil {
			return fmt.Errorf("read %s: %w", nameOf(path), err)
		}
		laidOut, diags := conf.Format(nameOf(path), text)
		if all.Append(diags); diags.HasErrors() {
			continue
		}
		same := bytes.Equal(text, laidOut)
		changed = changed || !same
		switch {
		case differ:
			_, err = out.Write(diff.Diff(nameOf(path), text, nameOf(path)+" (laid out)", laidOut))
		case write && path != "-":
			if !same {
				err = replaceFile(path, laidOut)
			}
		default:
			_, err = out.Write(laidOut)
		}
		if err != nil {
			return err
		}
	}
	if err := all.Render(errs, colourful(errs)); err != nil {
		return err
	}
	if all.HasErrors() || differ && changed {
		return errSilent
	}
	return nil
}

// replaceFile puts a text in a file's place, all at once, with its mode.
func replaceFile(path string, text []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".weir-*")
	if err != nil {
		return fmt.Errorf("write beside %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
