package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"weir/conf"
	"weir/internal/api"
	"weir/internal/director"
)

// The colours of a difference (ECMA-48, SGR); the signs say the same.
var kindSigns = map[director.Kind]struct{ sign, colour string }{
	director.Added:   {"+", "32"},
	director.Removed: {"-", "31"},
	director.Changed: {"~", "33"},
}

// changesView writes a difference for people.
type changesView struct {
	strings.Builder
	colour bool
}

// line writes one, with the sign of its kind.
func (v *changesView) line(indent string, kind director.Kind, parts ...string) {
	sign := kindSigns[kind]
	text := strings.TrimRight(strings.Join(parts, ""), " ")
	if v.colour {
		fmt.Fprintf(v, "%s\x1b[%sm%s %s\x1b[0m\n", indent, sign.colour, sign.sign, text)
		return
	}
	fmt.Fprintf(v, "%s%s %s\n", indent, sign.sign, text)
}

// showChanges writes what an answer says would change, or has changed.
func showChanges(out io.Writer, answer api.Answer, done, colour bool) error {
	v := &changesView{colour: colour}
	c := answer.Changes
	if c.Empty() {
		file := answer.File
		if filepath.Base(file) == stdinName {
			file = "standard input"
		}
		fmt.Fprintf(v, "No change: weir does what %s says.\n", file)
		_, err := io.WriteString(out, v.String())
		return err
	}
	for _, s := range c.Services {
		v.service(s)
	}
	v.instances(c.Instances)
	for _, s := range c.Settings {
		v.line("", director.Changed, setting(s))
	}
	for _, s := range c.Restart {
		fmt.Fprintf(v, "! %s   takes a restart; a reload leaves it\n", setting(s))
	}
	fmt.Fprintf(v, "\n%s. %s", counted(c), touched(answer.Touched))
	if done {
		v.WriteString("  Done.\n")
	} else {
		file := answer.File
		if filepath.Base(file) == stdinName {
			file = "-"
		}
		fmt.Fprintf(v, "  Apply: weir reload %s\n", file)
	}
	_, err := io.WriteString(out, v.String())
	return err
}

func setting(s director.Setting) string {
	text := s.Name + " " + s.From + " -> " + s.To
	switch {
	case s.From == "":
		text = s.Name + " " + s.To + " is new"
	case s.To == "":
		text = s.Name + " " + s.From + " leaves"
	}
	if s.Trait == conf.AtStart {
		text += " (counts from its next start on)"
	}
	return text
}

func settingsText(list []director.Setting) string {
	var all []string
	for _, s := range list {
		all = append(all, setting(s))
	}
	return strings.Join(all, ", ")
}

func (v *changesView) service(s director.ServiceChange) {
	if s.Kind != director.Changed {
		connections := 0
		for _, rs := range s.Servers {
			connections += rs.Connections
		}
		text := "   " + plural(len(s.Servers), "real server")
		if s.Kind == director.Removed {
			text += ", " + plural(connections, "connection")
		}
		v.line("", s.Kind, s.Service, text)
		return
	}
	v.line("", s.Kind, s.Service)
	for _, one := range s.Settings {
		v.line("    ", director.Changed, setting(one))
	}
	for _, rs := range s.Servers {
		v.line("    ", rs.Kind, fmt.Sprintf("%-22s %-24s  %s", rs.Server, serverText(rs), consequence(rs)))
	}
}

func serverText(rs director.ServerChange) string {
	switch rs.Kind {
	case director.Added:
		return fmt.Sprintf("weight %d", rs.Weight)
	case director.Changed:
		return settingsText(rs.Settings)
	}
	return ""
}

// consequence says what becomes of a server's connections, or of its clients.
func consequence(rs director.ServerChange) string {
	switch {
	case rs.Kind == director.Added && rs.Checked:
		return "gets traffic once its checks pass"
	case rs.Kind == director.Added:
		return "gets traffic at once"
	case rs.Touched && rs.Connections > 0:
		return plural(rs.Connections, "connection") + " without a server"
	case rs.Touched:
		return "0 connections"
	}
	return "connections stay"
}

func (v *changesView) instances(list []director.InstanceChange) {
	still := true
	for _, in := range list {
		text := "VRRP " + in.Instance
		if in.State != "" {
			text += "  " + in.State
		}
		if len(in.Settings) > 0 {
			text += "   " + settingsText(in.Settings)
		}
		if in.Next != "" {
			text, still = text+"   "+in.Next, false
		}
		v.line("", in.Kind, text)
	}
	if still {
		v.WriteString("  VRRP  no change of state\n")
	}
}

// counted sums up: "1 change, 2 additions, 1 new service".
func counted(c director.Changes) string {
	servers, services := map[director.Kind]int{}, map[director.Kind]int{}
	for _, s := range c.Services {
		if services[s.Kind]++; s.Kind != director.Changed {
			continue
		}
		servers[director.Changed] += len(s.Settings)
		for _, rs := range s.Servers {
			servers[rs.Kind]++
		}
	}
	servers[director.Changed] += len(c.Settings)
	for _, in := range c.Instances {
		servers[in.Kind]++
	}
	var parts []string
	for _, p := range []struct {
		n    int
		noun string
	}{
		{servers[director.Changed], "change"}, {servers[director.Removed], "removal"}, {servers[director.Added], "addition"},
		{services[director.Added], "new service"}, {services[director.Removed], "removed service"}, {len(c.Restart), "setting that waits for a restart"},
	} {
		if p.n > 0 {
			parts = append(parts, plural(p.n, p.noun))
		}
	}
	return strings.Join(parts, ", ")
}

func touched(n int) string {
	switch n {
	case 0:
		return "No live connection is touched."
	case 1:
		return "1 live connection is touched."
	}
	return fmt.Sprintf("%d live connections are touched.", n)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasPrefix(noun, "setting that waits") {
		return fmt.Sprintf("%d settings that wait for a restart", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
