package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/api"
	"weir/internal/dataplane"
)

// showTablesCommand is "weir show tables".
func showTablesCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "tables",
		Short: "Show what the running weir's tables hold, and what they take of the memory",
		Long: `Ask the running weir for the data plane's tables: how many entries are in use, for
how many there is room now and at most (weir { tables { ... } } of the file), and
what the tables take of the kernel's memory now and when they are full.

The tables of connections begin with room for 65,536 and grow while weir runs.
With --json the same for programs; docs/api.md has the fields, and what a
connection takes.

The exit code is 0, or 1 when no weir answers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			tables, err := api.NewClient(o.runDir).Tables(cmd.Context())
			if err != nil {
				return err
			}
			if o.asJSON {
				return printJSON(cmd.OutOrStdout(), tables)
			}
			return showTables(cmd.OutOrStdout(), tables)
		},
	}
	o.flags(cmd)
	return cmd
}

// showTables writes tables for people, and their sum.
func showTables(out io.Writer, all api.Tables) error {
	var b strings.Builder
	row := func(name, inUse, room, most, now, full string) {
		fmt.Fprintf(&b, "%-11s  %10s  %10s  %10s  %12s  %12s\n", name, inUse, room, most, now, full)
	}
	row("table", "in use", "room", "most", "memory now", "when full")
	for _, t := range all.Tables {
		inUse, room, most := "-", "-", "-"
		if t.Room > 0 {
			inUse, room, most = thousands(t.InUse), thousands(t.Room), thousands(t.Most)
		}
		row(t.Name, inUse, room, most, mebibytes(t.Bytes), mebibytes(t.Full))
	}
	row("in all", "", "", "", mebibytes(all.Bytes), mebibytes(all.Full))
	_, err := io.WriteString(out, b.String())
	return err
}

// thousands writes a number with a comma before each three digits: 1,048,576.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func mebibytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// tablesOf asks a data plane for its tables.
func tablesOf(plane *dataplane.Plane) func() []api.Table {
	return func() (all []api.Table) {
		for _, t := range plane.TableUses() {
			all = append(all, api.Table(t))
		}
		return all
	}
}
