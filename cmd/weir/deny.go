package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"weir/conf"
	"weir/internal/api"
)

// denyCommand is "weir deny NETWORK", and allowCommand is "weir allow NETWORK".
func denyCommand() *cobra.Command {
	return ruleCommand(api.Deny, "Serve no client of a network, now and for a time", `Have the running weir drop packets of a network's clients to its services, without an
answer, and end their connections. Other packets of theirs are none of weir's business.`)
}

func allowCommand() *cobra.Command {
	return ruleCommand(api.Allow, "Serve clients inside of a network that is denied", `Have the running weir serve clients of a network although a larger network that holds
them is denied. It takes no rule away: for that there is "weir deny --remove".`)
}

// ruleOptions are the flags of both.
type ruleOptions struct {
	askOptions
	action       string
	protocol     string
	port         uint16
	lasts        time.Duration
	list, remove bool
}

func ruleCommand(action, short, long string) *cobra.Command {
	o := ruleOptions{action: action}
	cmd := &cobra.Command{
		Use:   action + " NETWORK",
		Short: short,
		Long: long + `

Of all rules that match a client the longest prefix counts; of equal ones deny does.
Rules of the file (weir { deny NETWORK; allow NETWORK }) and live ones count alike. A
live rule ends with its time or with --remove; it stays through reloads and restarts
of weir, but not of the machine. A rule that is there gets the new time.

--list shows all rules with the packets that they have denied.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.protocol, "protocol", "", "only packets of `TCP or UDP`")
	f.Uint16Var(&o.port, "port", 0, "only packets to services with this `port`")
	f.DurationVar(&o.lasts, "for", 0, "how `long`: 10m, 24h; without it until it is removed")
	f.BoolVar(&o.list, "list", false, "show all rules")
	f.BoolVar(&o.remove, "remove", false, "remove a live rule")
	return cmd
}

func (o *ruleOptions) run(cmd *cobra.Command, args []string) error {
	client := api.NewClient(o.runDir)
	if o.list {
		if len(args) > 0 || o.remove {
			return errors.New("--list shows all rules: it takes no network and no --remove")
		}
		return o.show(cmd, client)
	}
	request, err := o.request(cmd, args)
	if err != nil {
		return err
	}
	if o.remove {
		if err := client.RemoveRule(cmd.Context(), request); err != nil {
			return fmt.Errorf("remove %s %s: %w", o.action, request.Network, err)
		}
		return nil
	}
	return client.AddRule(cmd.Context(), request)
}

// request is the rule that the arguments name.
func (o *ruleOptions) request(cmd *cobra.Command, args []string) (r api.RuleRequest, err error) {
	if len(args) == 0 {
		return r, fmt.Errorf("expected a network: weir %s 203.0.113.0/24 --for 10m, or --list", o.action)
	}
	if r.Network, err = parseNetwork(args[0]); err != nil {
		return r, err
	}
	if o.protocol != "" && !strings.EqualFold(o.protocol, "TCP") && !strings.EqualFold(o.protocol, "UDP") {
		return r, fmt.Errorf("--protocol %s: expected TCP or UDP", o.protocol)
	}
	if cmd.Flags().Changed("for") && (o.lasts <= 0 || o.remove) {
		return r, errors.New("--for takes a time above 0, and none with --remove")
	}
	r.Action, r.Protocol, r.Port, r.Seconds = o.action, strings.ToUpper(o.protocol), o.port, o.lasts.Seconds()
	return r, nil
}

// parseNetwork reads an address or a network.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	const expected = "expected an address or a network such as 203.0.113.0/24"
	if err != nil {
		return p, fmt.Errorf("%s: %s", s, cmp.Or(conf.NetworkHint(s), expected))
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("%s: %s", s, expected)
	}
	return p.Masked(), nil
}

func (o *ruleOptions) show(cmd *cobra.Command, client *api.Client) error {
	rules, err := client.Rules(cmd.Context())
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), rules)
	}
	return showRules(cmd.OutOrStdout(), rules, time.Now())
}

// showRules writes rules for people.
func showRules(out io.Writer, rules []api.Rule, now time.Time) error {
	if len(rules) == 0 {
		_, err := fmt.Fprintln(out, "No rules: every client is served.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "rule\tclients\tasking for\tends\tpackets denied")
	for _, r := range rules {
		asks := []string{r.Protocol}
		if r.Port != 0 {
			asks = append(asks, fmt.Sprintf("port %d", r.Port))
		}
		text := strings.TrimSpace(strings.Join(asks, " "))
		if text == "" {
			text = "anything"
		}
		denied := "-"
		if r.Action == api.Deny {
			denied = short(r.Denied)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Action, r.Network, text, ends(r, now), denied)
	}
	return w.Flush()
}

// ends says when a rule ends.
func ends(r api.Rule, now time.Time) string {
	switch {
	case !r.Live:
		return "with the file"
	case r.Until == nil:
		return "when removed"
	}
	return "in " + max(r.Until.Sub(now), 0).Round(time.Second).String()
}
