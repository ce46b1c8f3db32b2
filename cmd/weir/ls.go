package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/api"
	"weir/internal/cluster"
)

// lsCommand is "weir ls".
func lsCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the virtual servers with their real servers",
		Long: `Ask the running weir for its virtual servers and their real servers: scheduler,
forwarding method, weight, state, live connections (active and inactive), and
what passes in a second. A virtual server's row has the sums of its real servers'
connections. Behind a real server that has an agent (agent_check) stands what it
makes of the weight. With --json the list, for programs; docs/api.md has the fields.

The exit code is 0, or 1 when no weir answers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := api.NewClient(o.runDir).Snapshot(cmd.Context())
			if err != nil {
				return err
			}
			if o.asJSON {
				return printJSON(cmd.OutOrStdout(), s.Services)
			}
			return showServices(cmd.OutOrStdout(), s.Services)
		},
	}
	o.flags(cmd)
	return cmd
}

// showServices writes the table.
func showServices(out io.Writer, services []cluster.Service) error {
	if len(services) == 0 {
		_, err := io.WriteString(out, "no virtual server is configured\n")
		return err
	}
	width := 0
	for _, s := range services {
		width = max(width, len(s.Name))
		for _, server := range s.Servers {
			width = max(width, len(server.Addr.String())+2)
		}
	}
	var b strings.Builder
	row := func(name, how, weight, state, active, inactive string, r cluster.Rates, why string) {
		line := fmt.Sprintf("%-*s  %-5s %6s  %-5s %6s %8s %6s %6s %6s  %s", width, name, how, weight, state, active, inactive,
			short(r.Connections), short(r.InPackets), short(r.InBytes), why)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "%-*s  %-5s %6s  %-5s %6s %8s %6s %6s %6s\n", width, "", "how", "weight", "state", "active", "inactive", "conn/s", "pkt/s", "byte/s")
	for _, s := range services {
		up, active, inactive := 0, 0, 0
		for _, server := range s.Servers {
			active, inactive = active+server.Active, inactive+server.Inactive
			if server.Up {
				up++
			}
		}
		row(s.Name, string(s.Scheduler), "", fmt.Sprintf("%d/%d", up, len(s.Servers)), short(uint64(active)), short(uint64(inactive)), s.Traffic.Rates, "")
		for _, server := range s.Servers {
			state := "up"
			if !server.Up {
				state = "down"
			}
			row("  "+server.Addr.String(), server.Method, strconv.Itoa(server.Weight), state,
				short(uint64(server.Active)), short(uint64(server.Inactive)), server.Traffic.Rates, server.Why)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
