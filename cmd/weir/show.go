package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"weir/conf"
	"weir/conf/lint"
)

// showCommand is "weir show config|state|tables|schema|reference".
func showCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show a configuration as it is in effect, the tables of the running weir, and the language itself"}
	cmd.AddCommand(showConfigCommand(), showStateCommand(), showTablesCommand(), showSchemaCommand(),
		showTextCommand("reference", "Show the page of the whole configuration language", func() ([]byte, error) { return conf.Reference(), nil }))
	return cmd
}

// showSchemaCommand is "weir show schema".
func showSchemaCommand() *cobra.Command {
	var diagnostics bool
	cmd := showTextCommand("schema", "Show the JSON schema of what show config --json prints", func() ([]byte, error) {
		if diagnostics {
			return []byte(checkSchema), nil
		}
		return conf.Schema()
	})
	cmd.Flags().BoolVar(&diagnostics, "diagnostics", false, "show that of what check --json prints")
	return cmd
}

func showConfigCommand() *cobra.Command {
	var asJSON bool
	var id string
	var o conf.ShowOptions
	cmd := &cobra.Command{
		Use:   "config [FILE]",
		Short: "Show every value of a configuration, and where each comes from",
		Long: `Show a configuration with what it includes, every default filled in and every
name replaced. Behind each value stands the line that it was given on, or that
it is a default. What is shown is a configuration of the same meaning; a default
that has no words, such as a flag that is off, is a comment. With --json the same
for programs: in each block, origins says where keywords were given; "weir show
schema" prints the schema. Passwords are not shown unless --secrets asks for them. - is standard
input; without a file it is /etc/keepalived/keepalived.conf.

The exit code is 1 when the file has an error.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := fileOf(args)
			text, err := readInput(cmd.Context(), cmd.InOrStdin(), path)
			if err != nil {
				return fmt.Errorf("read %s: %w", nameOf(path), err)
			}
			cfg, diags := conf.Options{ID: id, Linter: lint.Rules, Show: true}.Parse(nameOf(path), text)
			if diags.HasErrors() {
				if err := diags.Render(cmd.ErrOrStderr(), colourful(cmd.ErrOrStderr())); err != nil {
					return err
				}
				return errSilent
			}
			return showConfig(cmd.OutOrStdout(), cfg, o, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&o.Secrets, "secrets", false, "show passwords")
	cmd.Flags().BoolVar(&o.NoDefaults, "no-defaults", false, "leave out what the file does not say")
	cmd.Flags().StringVar(&id, "id", "", "take the lines for this config `id` (@ID) rather than for this host's name")
	cmd.Flags().StringVar(&id, "config-id", "", "the same")
	cmd.Flags().Lookup("config-id").Hidden = true
	return cmd
}

func showConfig(out io.Writer, cfg *conf.Config, o conf.ShowOptions, asJSON bool) error {
	if !asJSON {
		return cfg.Show(out, o)
	}
	text, err := cfg.JSON(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// showTextCommand shows a text that is generated.
func showTextCommand(name, short string, text func() ([]byte, error)) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		t, err := text()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(t)
		return err
	}}
}
