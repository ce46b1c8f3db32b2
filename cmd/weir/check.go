package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/conf/lint"
)

// checkOptions are the flags of "weir check".
type checkOptions struct {
	id      string
	silence []string
}

// checkCommand is "weir check FILE...": it reads configurations and shows all
// that is wrong with them. Warnings alone are no failure.
func checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Read configuration files and show every mistake",
		Long: `Read keepalived.conf files, each with what it includes, and show every mistake
with its line and what was expected. Nothing is changed or started.

Warnings explain what is right and hardly what was meant; each has a name in
brackets, by which --silence, or silence in the weir block, turns it off. Notes
say which keywords have no effect. Given the files of two directors that share
an instance, it tells what they disagree about.

The exit code is 1 when a file has an error, and 0 otherwise.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return check(cmd.OutOrStdout(), paths, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.id, "config-id", "", "take the lines for this config `id` (@ID) rather than for this host's name")
	flags.StringSliceVar(&o.silence, "silence", nil, "do not give warnings of these `names`, parted by commas")
	return cmd
}

// check shows the diagnostics of all files together, and a line for each file
// that has none.
func check(out io.Writer, paths []string, o checkOptions) error {
	for _, code := range o.silence {
		if !conf.IsRemark(code) {
			return fmt.Errorf("--silence %s: there is no warning of this name; names stand in brackets behind warnings", code)
		}
	}
	options := conf.Options{ID: o.id, Silence: o.silence, Networks: networks(), Linter: lint.Rules}
	var all conf.Diagnostics
	var configs []*conf.Config
	for _, path := range paths {
		cfg, diags := options.Load(path)
		all.Append(diags)
		if cfg == nil {
			continue
		}
		configs = append(configs, cfg)
		if len(diags.All()) == 0 {
			fmt.Fprintf(out, "%s: ok: %s\n", path, cfg.Summary())
		}
	}
	if len(paths) == 2 && len(configs) == 2 {
		all.Append(lint.Compare(configs[0], configs[1], o.silence...))
	}
	if err := all.Render(out, colourful(out)); err != nil {
		return fmt.Errorf("write the diagnostics: %w", err)
	}
	if all.HasErrors() {
		return errSilent
	}
	return nil
}

// networks are those of this machine's interfaces.
func networks() map[string][]netip.Prefix {
	links, err := net.Interfaces()
	if err != nil {
		return nil
	}
	all := map[string][]netip.Prefix{}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			continue
		}
		list := []netip.Prefix{}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				list = append(list, p.Masked())
			}
		}
		if len(list) > 0 {
			all[l.Name] = list
		}
	}
	return all
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
