package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"weir/conf"
	"weir/conf/lint"
)

// The exit codes of keepalived's configuration test.
const (
	exitUnreadable = 4
	exitConfig     = 5
	exitSecurity   = 6
)

// keepalivedOptions are the flags that weir takes when it is called keepalived.
type keepalivedOptions struct {
	test   bool
	config string
	id     string
}

// keepalivedCommand is weir called keepalived: with -t it tests a configuration
// and ends with keepalived's exit codes, and otherwise it runs.
func keepalivedCommand() *cobra.Command {
	var o keepalivedOptions
	cmd := &cobra.Command{
		Use:           "keepalived",
		Short:         "weir, called by the name of keepalived",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !o.test {
				return run(cmd.Context(), defaultRun(o.config))
			}
			return o.check(cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.test, "config-test", "t", false, "test the configuration: 0 good, 4 unreadable, 5 mistakes, 6 scripts without enable_script_security")
	flags.StringVarP(&o.config, "use-file", "f", "/etc/keepalived/keepalived.conf", "configuration `file`")
	flags.StringVarP(&o.id, "config-id", "i", "", "config `id`")
	for _, f := range []struct{ name, short string }{
		{"dont-fork", "n"}, {"log-console", "l"}, {"log-detail", "D"}, {"vrrp", "P"}, {"check", "C"}, {"dump-conf", "d"}, {"release-vips", "X"},
	} {
		flags.BoolP(f.name, f.short, false, "taken for keepalived's sake, without effect")
	}
	return cmd
}

// check is keepalived -t.
func (o *keepalivedOptions) check(out io.Writer) error {
	if f, err := os.Open(o.config); err != nil {
		fmt.Fprintf(out, "%s: %v\n", o.config, errors.Unwrap(err))
		return exitCode(exitUnreadable)
	} else {
		f.Close()
	}
	cfg, diags := conf.Options{ID: o.id, Linter: lint.Rules}.Load(o.config)
	if err := diags.Render(out, colourful(out)); err != nil {
		return fmt.Errorf("write the diagnostics: %w", err)
	}
	switch {
	case cfg != nil && !cfg.Global.ScriptSecurity && runsScripts(cfg):
		fmt.Fprintf(out, "%s: scripts are to be run without enable_script_security\n", o.config)
		return exitCode(exitSecurity)
	case diags.Refused():
		return exitCode(exitConfig)
	}
	return nil
}

// runsScripts tells whether a configuration names a program that is there.
func runsScripts(cfg *conf.Config) bool {
	for _, path := range cfg.Programs() {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// keepalivedMain runs weir as keepalived and returns the exit code.
func keepalivedMain(ctx context.Context, cmd *cobra.Command) int {
	err := cmd.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case !errors.Is(err, errSilent):
		fmt.Fprintln(os.Stderr, "keepalived:", err)
	}
	return 1
}
