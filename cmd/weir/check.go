package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weir/conf"
	"weir/conf/lint"
)

// exitWarnings is the exit code of a check that --strict ends.
const exitWarnings = 2

// checkGarbage is by how many per cent the heap may grow before garbage is collected: the process
// ends soon.
const checkGarbage = 200

// checkOptions are the flags of "weir check".
type checkOptions struct {
	ids, silence                     []string
	explain                          string
	strict, asJSON, quiet, elsewhere bool
}

// checkCommand is "weir check [FILE...]": it reads configurations and shows all
// that is wrong with them.
func checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Read configuration files and show every mistake",
		Long: `Read keepalived.conf files, each with what it includes, and show every mistake
with its line and what was expected. - is standard input; without a file it is
/etc/keepalived/keepalived.conf. Nothing is changed or started.

Warnings explain what is right and hardly what was meant. Notes say which keywords
have no effect; those of one kind are one line. Each kind has a name in brackets:
--silence NAME, or silence in the weir block, turns it off, and --explain NAME tells
more, with each place of it in the files. Given the files of two directors that
share an instance, it tells what they disagree about.

A file with lines for config ids (@ID) is read for each of them, and for this
host's name; --id names those that count. What depends on this machine says so;
--elsewhere leaves it out, for a file of other machines.

The exit code is 0 for files that "weir run" would start with, 1 for errors, and 2
for warnings where --strict asks for it. "weir show schema --diagnostics" prints the
schema of --json.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.explain != "" {
				return o.tellMore(cmd, args)
			}
			return o.check(cmd, filesOf(args))
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.ids, "id", nil, "read lines for these config `ids` (@ID) rather than for all")
	flags.StringSliceVar(&o.ids, "config-id", nil, "the same")
	flags.Lookup("config-id").Hidden = true
	flags.StringSliceVar(&o.silence, "silence", nil, "do not give warnings of these `names`, parted by commas")
	flags.StringVar(&o.explain, "explain", "", "tell what the warnings of this `name` are about, and each place of them")
	flags.BoolVar(&o.strict, "strict", false, "end with exit code 2 for warnings")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "show errors only")
	flags.BoolVar(&o.elsewhere, "elsewhere", false, "leave out what depends on this machine")
	return cmd
}

// checked is what is known of the files.
type checked struct {
	Files       []checkedFile     `json:"files"`
	Diagnostics []conf.Diagnostic `json:"diagnostics"`
	Errors      int               `json:"errors"`
	Warnings    int               `json:"warnings"`
	Notes       int               `json:"notes"`
	all         conf.Diagnostics
}

// checkedFile is one of the files that were named.
type checkedFile struct {
	File string `json:"file"`
	// OK is one that "weir run" would start with.
	OK bool `json:"ok"`
	// IDs are the config ids that it was read for.
	IDs     []string `json:"config_ids"`
	Summary string   `json:"summary"`
	silent  bool
}

// check shows the diagnostics of all files together, and a line for each file
// that has none.
func (o *checkOptions) check(cmd *cobra.Command, paths []string) error {
	for _, code := range o.silence {
		switch {
		case !conf.IsRemark(code):
			return fmt.Errorf("--silence %s: there is no warning of this name%s; names stand in brackets behind warnings", code, didYouMean(code))
		case conf.CannotSilence(code):
			return fmt.Errorf("--silence %s: it cannot be silenced, because \"weir run\" refuses such a file", code)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(checkGarbage))
	c := o.read(cmd.Context(), cmd.InOrStdin(), paths)
	if err := o.show(cmd.OutOrStdout(), c); err != nil {
		return fmt.Errorf("write the diagnostics: %w", err)
	}
	switch {
	case c.Errors > 0:
		return errSilent
	case o.strict && c.Warnings > 0:
		return exitCode(exitWarnings)
	}
	return nil
}

// read reads the files.
func (o *checkOptions) read(ctx context.Context, in io.Reader, paths []string) (c checked) {
	options := conf.Options{Silence: o.silence, Linter: lint.Rules}
	if !o.elsewhere {
		options.Networks = networks()
	}
	if !o.elsewhere && len(paths) == 1 { // several are several machines'
		options.Here = &conf.Here{Interface: hasInterface, User: hasUser, Program: hasProgram}
	}
	var configs []*conf.Config
	for _, path := range paths {
		variants, diags := options.CheckFile(nameOf(path), func() ([]byte, error) { return readInput(ctx, in, path) }, o.ids, o.elsewhere)
		diags.Refuse()
		c.all.Append(diags)
		file := checkedFile{File: nameOf(path), OK: !diags.HasErrors(), IDs: variants.IDs(), silent: diags.Harmless()}
		if file.OK {
			file.Summary = variants.Summary()
			configs = append(configs, variants[0].Config)
		}
		c.Files = append(c.Files, file)
	}
	if len(paths) == 2 && len(configs) == 2 {
		c.all.Append(lint.Compare(configs[0], configs[1], o.silence...))
	}
	if o.quiet {
		c.all.Keep(func(d conf.Diagnostic) bool {
			return d.Severity == conf.Error || o.strict && d.Severity == conf.Warning
		})
	}
	c.Diagnostics = append([]conf.Diagnostic{}, c.all.All()...)
	c.Errors, c.Warnings, c.Notes = c.all.Errors(), c.all.Warnings(), c.all.Remarks()
	return c
}

func (o *checkOptions) show(out io.Writer, c checked) error {
	if o.asJSON {
		return printJSON(out, c)
	}
	for _, file := range c.Files {
		if file.silent && !o.quiet {
			fmt.Fprintf(out, "%s: ok: %s\n", file.File, file.Summary)
		}
	}
	return c.all.Render(out, colourful(out))
}

// tellMore explains a kind of warning, and shows each place of it in the files that are
// named.
func (o *checkOptions) tellMore(cmd *cobra.Command, paths []string) error {
	says, ok := conf.Explain(o.explain)
	if !ok {
		return fmt.Errorf("--explain %s: there is no warning of this name%s; names stand in brackets behind warnings", o.explain, didYouMean(o.explain))
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s\n", o.explain, says)
	if len(paths) == 0 {
		return nil
	}
	c := o.read(cmd.Context(), cmd.InOrStdin(), paths)
	c.all.Keep(func(d conf.Diagnostic) bool { return d.Code == o.explain })
	fmt.Fprintln(out)
	return c.all.RenderEach(out, colourful(out))
}

func didYouMean(code string) string {
	if near := conf.NearestRemark(code); near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return ""
}

func hasInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

func hasUser(name string) bool {
	_, err := user.Lookup(name)
	return err == nil
}

// hasProgram tells whether a program can be run; one without a folder is looked for in PATH.
func hasProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
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
