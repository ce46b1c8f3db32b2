package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/spf13/cobra"

	"weir/conf"
	"weir/internal/realserver"
)

// realserverCommand is "weir realserver": what a machine behind direct routing or
// a tunnel needs beside its service.
func realserverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "realserver",
		Short: "Make this machine a real server behind direct routing or a tunnel",
		Long: `Make this machine a real server behind direct routing: the virtual address is
put on lo, and the machine keeps silent about it on the wire (arp_ignore 1 and
arp_announce 2 of all and lo). With start --method tunnel it takes packets for
the address out of tunnels, too: IPv4 or IPv6 in IPv4 or IPv6. What was there
before is remembered in the state file and restored by stop.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		realserverStartCommand(),
		realserverVerb("stop", "Take virtual addresses from lo (all that start put there, when none is given)", realserverStop),
		realserverVerb("status", "Verify, and say what is wrong and what to do", realserverStatus),
	)
	return cmd
}

// realserverVerb makes one of the three subcommands; they share their flags.
func realserverVerb(name, short string, run func(*cobra.Command, *realserver.RealServer, []netip.Addr) error) *cobra.Command {
	var vips []string
	var state, space string
	cmd := &cobra.Command{
		Use:          name,
		Short:        short,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addrs, err := parseAddrs("--vip", vips)
			if err != nil {
				return err
			}
			if takeEntered() != space {
				return fmt.Errorf("net namespace %s: %w", space, enterNamespace(cmd.Context(), space))
			}
			if space != "" && !cmd.Flags().Changed("state") {
				state = filepath.Join(folderIn(filepath.Dir(state), space), filepath.Base(state))
			}
			return run(cmd, realserver.New(state), addrs)
		},
	}
	cmd.Flags().StringArrayVar(&vips, "vip", nil, "virtual `address`; may be given several times")
	cmd.Flags().StringVar(&state, "state", realserver.DefaultState, "state `file`; each network namespace needs its own, and has it in /run/weir-NAME with --net-namespace NAME")
	cmd.Flags().StringVar(&space, "net-namespace", "", "`name` of the network namespace that is the real server, as ip netns list shows it")
	return cmd
}

// startOptions are the flags that only start has.
type startOptions struct {
	method, decap      string
	devices, directors []string
}

func realserverStartCommand() *cobra.Command {
	var o startOptions
	cmd := realserverVerb("start", "Put virtual addresses on lo and keep silent about them",
		func(cmd *cobra.Command, rs *realserver.RealServer, vips []netip.Addr) error {
			return realserverStart(cmd, rs, vips, o)
		})
	flags := cmd.Flags()
	flags.StringVar(&o.method, "method", "direct", "`how` the director sends packets: direct or tunnel")
	flags.StringArrayVar(&o.devices, "device", nil,
		"`device` by which tunnelled packets come, sent to its addresses; may be given several times (default all with an address of their own)")
	flags.StringArrayVar(&o.directors, "director", nil, "`address` that may send tunnelled packets; may be given several times (default any)")
	flags.StringVar(&o.decap, "decap", "auto", "`what` takes packets out of tunnels: kernel (its ipip, sit and ip6tnl devices), bpf, or auto, the kernel's where it has them")
	return cmd
}

// tunnel reads what the flags say of tunnels; nil is none.
func (o startOptions) tunnel() (*realserver.Tunnel, error) {
	switch o.method {
	case "direct":
		if len(o.devices) > 0 || len(o.directors) > 0 || o.decap != "auto" {
			return nil, errors.New("--device, --director and --decap are for tunnels: add --method tunnel")
		}
		return nil, nil
	case "tunnel":
	default:
		return nil, fmt.Errorf("--method %s: expected direct or tunnel", o.method)
	}
	switch o.decap {
	case "auto", "kernel", "bpf":
	default:
		return nil, fmt.Errorf("--decap %s: expected auto, kernel or bpf", o.decap)
	}
	directors, err := parseAddrs("--director", o.directors)
	if err != nil {
		return nil, err
	}
	return &realserver.Tunnel{Devices: o.devices, Directors: directors, Decap: realserver.Decap(o.decap)}, nil
}

func parseAddrs(flag string, args []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, arg := range args {
		a, err := netip.ParseAddr(arg)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not an IP address: %s", flag, arg, cmp.Or(conf.AddressHint(arg), "expected one like 192.168.25.100 or 2001:db8::100"))
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

func realserverStart(cmd *cobra.Command, rs *realserver.RealServer, vips []netip.Addr, o startOptions) error {
	if len(vips) == 0 {
		return errors.New("start needs at least one virtual address: --vip 192.168.25.100")
	}
	tunnel, err := o.tunnel()
	if err != nil {
		return err
	}
	if tunnel == nil {
		err = rs.Start(vips)
	} else {
		err = rs.StartTunnel(vips, *tunnel)
	}
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, vip := range vips {
		fmt.Fprintf(out, "%s is on lo, and this machine keeps silent about it\n", vip)
	}
	if tunnel != nil {
		fmt.Fprintln(out, "packets for it come out of tunnels: see weir realserver status")
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
