package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/api"
	"weir/internal/cluster"
)

// exitNeeds is the exit code of a status that needs somebody.
const exitNeeds = 2

// statusCommand is "weir status".
func statusCommand() *cobra.Command {
	var o askOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the running weir on one screen, and what needs you",
		Long: `Ask the running weir for its state: the data plane's devices, the VRRP instances
with the other director, and each virtual server with the real servers that are
down, and the sessions of BFD. The last lines say what needs you: real servers and
sessions that are down, instances that cannot take part, and another program of
this machine that is master of the same VRID. One that speaks VRRP with other VRIDs
is a note.
With --json everything, for programs; docs/api.md has the fields.

The exit code is 0 when nothing needs you, 2 when something does, and 1 when no
weir answers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := api.NewClient(o.runDir).Snapshot(cmd.Context())
			if err != nil {
				return err
			}
			if o.asJSON {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = showStatus(cmd.OutOrStdout(), s)
			}
			if err == nil && len(needs(s)) > 0 {
				return exitCode(exitNeeds)
			}
			return err
		},
	}
	o.flags(cmd)
	return cmd
}

// showStatus writes a snapshot as one screen.
func showStatus(out io.Writer, s cluster.Snapshot) error {
	v := &statusView{now: s.Time}
	v.director(s)
	v.instances(s.Instances)
	v.sessions(s.Sessions)
	v.services(s.Services)
	v.drift(s.Drift)
	v.others(s)
	v.conclude(needs(s))
	_, err := io.WriteString(out, v.String())
	return err
}

// statusView writes a snapshot for people.
type statusView struct {
	strings.Builder
	now time.Time
}

func (v *statusView) linef(format string, args ...any) {
	v.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (v *statusView) director(s cluster.Snapshot) {
	v.linef("%s  up %s   config %s, loaded %s ago", s.Director.Host, v.since(s.Director.Started), s.Director.Config, v.since(s.Director.Loaded))
	devices := make([]string, 0, len(s.Devices))
	for _, d := range s.Devices {
		devices = append(devices, d.Name+" "+string(d.Hook))
	}
	if len(devices) == 0 {
		devices = []string{"on no device"}
	}
	var rates cluster.Rates
	for _, service := range s.Services {
		rates.InPackets += service.Traffic.Rates.InPackets
	}
	v.linef("data plane  %s   %s packets/s   %s connections", strings.Join(devices, ", "), short(rates.InPackets), short(uint64(s.Connections)))
	if denied := s.Packets["drop_denied"]; denied > 0 {
		v.linef("            %s packets of denied clients dropped: weir deny --list", short(denied))
	}
}

func (v *statusView) instances(list []cluster.Instance) {
	if len(list) == 0 {
		return
	}
	v.linef("")
	width := 0
	for _, in := range list {
		width = max(width, len(in.Name))
	}
	for i, in := range list {
		head := "      "
		if i == 0 {
			head = "VRRP  "
		}
		text := fmt.Sprintf("%-*s  %-6s  %d/%d", width, in.Name, strings.ToUpper(string(in.State)), in.ID.VRID, in.Priority)
		if !in.Since.IsZero() {
			text += "  for " + v.since(in.Since)
		}
		v.linef("%s%s", head, text)
		for _, detail := range v.instanceDetails(in) {
			v.linef("%6s%*s  %s", "", width, "", detail)
		}
	}
}

// instanceDetails are what an instance has to say in lines of their own.
func (v *statusView) instanceDetails(in cluster.Instance) (lines []string) {
	if len(in.VIPs) > 0 {
		vips := make([]string, 0, len(in.VIPs))
		for _, vip := range in.VIPs {
			vips = append(vips, vip.Addr().String())
		}
		const enough = 3
		text := "VIP " + strings.Join(vips[:min(len(vips), enough)], ", ")
		if len(vips) > enough {
			text += fmt.Sprintf(" and %d more", len(vips)-enough)
		}
		lines = append(lines, text)
	}
	if text := speaks(in); text != "" {
		lines = append(lines, text)
	}
	if in.Peer != nil {
		lines = append(lines, fmt.Sprintf("heard %s (%d) %s ago", in.Peer.Addr, in.Peer.Priority, v.since(in.Peer.Heard)))
	}
	if o := in.Other; o != nil {
		lines = append(lines, fmt.Sprintf("TWO MASTERS: %s (%d) for %s", o.Addr, o.Priority, v.since(o.Since)))
	}
	for _, c := range in.Conflicts {
		lines = append(lines, fmt.Sprintf("CONFLICT: %s has %s for %s", c.MAC, c.VIP, v.since(c.Since)))
	}
	return lines
}

// sessions are those of BFD.
func (v *statusView) sessions(list []cluster.Session) {
	width := 0
	for _, s := range list {
		width = max(width, len(s.Name))
	}
	head := "\nBFD   "
	for _, s := range list {
		state := "up"
		if !s.Up {
			state = "down"
		}
		v.linef("%s%-*s  %-4s  %s   %s", head, width, s.Name, state, s.Neighbor, s.Reason)
		head = "      "
	}
}

// speaks is how an instance speaks to the others, where it is not by plain multicast of
// version 2.
func speaks(in cluster.Instance) string {
	signed := in.Authentication == "AH" || in.Authentication == "auth_hmac"
	if in.Version < 3 && !signed && len(in.UnicastPeers) == 0 {
		return ""
	}
	text := fmt.Sprintf("version %d", in.Version)
	if in.Authentication != "" && in.Authentication != "none" {
		text += ", " + in.Authentication
	}
	if len(in.UnicastPeers) == 0 {
		return text + ", multicast"
	}
	peers := make([]string, 0, len(in.UnicastPeers))
	for _, p := range in.UnicastPeers {
		peers = append(peers, p.String())
	}
	return text + ", unicast to " + strings.Join(peers, ", ")
}

// drift is what other programs and machines have changed, or claim: nothing where there was
// none.
func (v *statusView) drift(kinds map[string]cluster.Drift) {
	head := "\nDRIFT "
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if d := kinds[kind]; d.Found > 0 {
			v.linef("%s%s: %d found, %d repaired", head, kind, d.Found, d.Repaired)
			head = "      "
		}
	}
}

// otherPrograms are the other programs that speak VRRP.
func otherPrograms(s cluster.Snapshot) string { return strings.Join(s.Director.OtherVRRP, " and ") }

// others is a note of other programs that speak VRRP, and of the virtual routers that they were
// heard to advertise, where none of those is one of weir's.
func (v *statusView) others(s cluster.Snapshot) {
	if len(s.Director.OtherVRRP) == 0 {
		return
	}
	var routers []string
	for _, id := range s.Director.OtherRouters {
		if slices.ContainsFunc(s.Instances, func(in cluster.Instance) bool { return in.ID == id }) {
			return // that needs somebody
		}
		routers = append(routers, id.String())
	}
	v.linef("\nNote: %s speaks VRRP here, too", otherPrograms(s))
	if len(routers) == 0 {
		v.linef("      it advertises nothing on weir's interfaces; its VRIDs have to be others")
		return
	}
	for _, router := range routers {
		v.linef("      it advertises %s, which weir does not", router)
	}
}

func (v *statusView) services(list []cluster.Service) {
	if len(list) > 0 {
		v.linef("")
	}
	width := 0
	for _, s := range list {
		width = max(width, len(s.Name))
	}
	for _, s := range list {
		sign, up, active := " ", 0, 0
		for _, server := range s.Servers {
			active += server.Active
			if server.Up {
				up++
			} else {
				sign = "!"
			}
		}
		v.linef("%s %-*s  %-4s  %d of %d up  %6s active  %6s/s", sign, width, s.Name, s.Scheduler, up, len(s.Servers),
			short(uint64(active)), short(s.Traffic.Rates.Connections))
		v.down(s.Servers)
		v.agents(s.Servers)
	}
}

// agents tells of the servers that are up and whose agents say something of them, the first
// ones in full.
func (v *statusView) agents(list []cluster.Server) {
	const enough = 8
	n := 0
	for _, server := range list {
		if !server.Up || server.Why == "" {
			continue
		}
		if n++; n <= enough {
			v.linef("    weight %d: %s   %s", server.Weight, server.Addr, server.Why)
		}
	}
	if n > enough {
		v.linef("    and %d more: weir ls", n-enough)
	}
}

// down tells of the servers that are down, the first ones in full.
func (v *statusView) down(list []cluster.Server) {
	const enough = 8
	n := 0
	for _, server := range list {
		if server.Up {
			continue
		}
		if n++; n <= enough {
			v.linef("    down: %s  for %s   %s", server.Addr, v.since(server.Since), server.Reason)
		}
	}
	if n > enough {
		v.linef("    and %d more: weir ls", n-enough)
	}
}

func (v *statusView) conclude(needs []string) {
	v.linef("")
	switch len(needs) {
	case 0:
		v.linef("Nothing needs you.")
		return
	case 1:
		v.linef("1 thing needs you: %s", needs[0])
		return
	}
	v.linef("%d things need you:", len(needs))
	const enough = 10
	for _, need := range needs[:min(len(needs), enough)] {
		v.linef("  %s", need)
	}
	if len(needs) > enough {
		v.linef("  and %d more", len(needs)-enough)
	}
}

// needs are what somebody has to look after, each in a line. A server that several
// services have is one thing.
func needs(s cluster.Snapshot) (list []string) {
	for _, in := range s.Instances {
		if in.State == cluster.Fault || in.Fault != "" {
			list = append(list, fmt.Sprintf("VRRP instance %s cannot take part: %s", in.Name, cmp.Or(in.Fault, "it is in fault")))
		}
	}
	for _, in := range s.Instances {
		if slices.Contains(s.Director.OtherRouters, in.ID) {
			list = append(list, fmt.Sprintf("%s is master of VRID %d on %s, too: end it", otherPrograms(s), in.ID.VRID, in.ID.Interface))
		}
	}
	for _, session := range s.Sessions {
		if !session.Up && session.Reason != "" {
			list = append(list, fmt.Sprintf("BFD session %s is down: %s", session.Name, session.Reason))
		}
	}
	for _, service := range s.Services {
		for _, server := range service.Servers {
			if server.Up {
				continue
			}
			need := fmt.Sprintf("real server %s is down", server.Addr)
			if !slices.Contains(list, need) {
				list = append(list, need)
			}
		}
	}
	return list
}

// since says how long ago something was, in its two largest units: "12 d 4 h".
func (v *statusView) since(t time.Time) string {
	d := max(v.now.Sub(t), 0)
	switch {
	case t.IsZero():
		return "?"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d m", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d m", d/time.Hour, d%time.Hour/time.Minute)
	}
	const day = 24 * time.Hour
	return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
}

// short is a figure in at most five characters and its unit: 812, 1.20 M, 412 k.
func short(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10)
	}
	x, unit := float64(n), ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if x < 999.5 {
			break
		}
		x, unit = x/1000, u
	}
	switch {
	case x < 9.995:
		return fmt.Sprintf("%.2f %s", x, unit)
	case x < 99.95:
		return fmt.Sprintf("%.1f %s", x, unit)
	}
	return fmt.Sprintf("%.0f %s", x, unit)
}
