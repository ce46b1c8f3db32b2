package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"weir/internal/realserver"
)

// realserverCommand is "weir realserver": what a machine behind direct routing
// needs beside its service.
func realserverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Make this machine a real server behind direct routing",
		Long: `Make this machine a real server behind direct routing: the virtual address is
put on lo, and the machine keeps silent about it on the wire (arp_ignore 1 and
arp_announce 2 of all and lo). What was there before is remembered in the state
file and restored by stop.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		realserverVerb("start", "Put virtual addresses on lo and keep silent about them", realserverStart),
		realserverVerb("stop", "Take virtual addresses from lo (all that start put there, when none is given)", realserverStop),
		realserverVerb("status", "Verify, and say what is wrong and what to do", realserverStatus),
	)
	return cmd
}

// realserverVerb makes one of the three subcommands; they share their flags.
func realserverVerb(name, short string, run func(*cobra.Command, *realserver.RealServer, []netip.Addr) error) *cobra.Command {
	var vips []string
	var state string
	cmd := &cobra.Command{
		Use:          name,
		Short:        short,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addrs, err := parseVIPs(vips)
			if err != nil {
				return err
			}
			return run(cmd, realserver.New(state), addrs)
		},
	}
	cmd.Flags().StringArrayVar(&vips, "vip", nil, "virtual `address`; may be given several times")
	cmd.Flags().StringVar(&state, "state", realserver.DefaultState, "state `file`; each network namespace needs its own")
	return cmd
}

func parseVIPs(args []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, arg := range args {
		a, err := netip.ParseAddr(arg)
		if err != nil {
			return nil, fmt.Errorf("--vip: %q is not an IP address: expected one like 192.168.25.100 or 2001:db8::100", arg)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func realserverStart(cmd *cobra.Command, rs *realserver.RealServer, vips []netip.Addr) error {
	if len(vips) == 0 {
		return errors.New("start needs at least one virtual address: --vip 192.168.25.100")
	}
	if err := rs.Start(vips); err != nil {
		return err
	}
	for _, vip := range vips {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is on lo, and this machine keeps silent about it\n", vip)
	}
	return nil
}

func realserverStop(cmd *cobra.Command, rs *realserver.RealServer, vips []netip.Addr) error {
	if err := rs.Stop(vips); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "stopped: what start had changed for it is as before")
	return nil
}

func realserverStatus(cmd *cobra.Command, rs *realserver.RealServer, vips []netip.Addr) error {
	rep, err := rs.Status(vips)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, problem := range rep.Problems {
		fmt.Fprintln(out, "! "+problem)
	}
	for _, note := range rep.Notes {
		fmt.Fprintln(out, "  "+note)
	}
	if n := len(rep.Problems); n > 0 {
		return fmt.Errorf("this machine is not set up as a real server: problems found: %d", n)
	}
	for _, vip := range rep.VIPs {
		fmt.Fprintf(out, "  %s is on lo, and this machine keeps silent about it\n", vip)
	}
	return nil
}
