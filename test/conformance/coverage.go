package conformance

import (
	"fmt"
	"regexp"
	"strings"
)

// Feature is something that a random scenario may have.
type Feature struct {
	Name string
	// in finds it in a scenario's text.
	in *regexp.Regexp
}

// Features are all that the generator makes.
func Features() (all []Feature) {
	for _, f := range [][2]string{
		{"NAT", ` -m( |$)`},
		{"direct routing", ` -g( |$)`},
		{"tunnel", ` -i( |$)`},
		{"tunnel to the other family", `-a -[tu] (10[^ ]* -r \[|\[[^ ]* -r 10)[^ ]* -i`},
		{"TCP", `^\$ tcp`},
		{"UDP", `^\$ udp`},
		{"IPv6", `ipvsadm -A -[tu] \[|-6`},
		{"one-packet scheduling", ` -o$`},
		{"service by mark", `-A -f`},
		{"mark on a VIP", `^\$ mark 10\.0\.1\.101 `},
		{"service of all ports", `-A -t [^ ]*:0 `},
		{"all ports beside one port", `(?s)-A -t 10\.0\.1\.101:0 .*-A -t 10\.0\.1\.101:443|-A -t 10\.0\.1\.101:443.*-A -t 10\.0\.1\.101:0 `},
		{"three services", `(?s)(-A -[tuf].*){3}`},
		{"persistence", ` -p 300`},
		{"persistence of a network", ` -M `},
		{"-E of the scheduler", ` -E `},
		{"-E of persistence", ` -E .* -p `},
		{"-e of a weight", ` -e `},
		{"-e of the method", ""}, // found by editsMethod
		{"-d", ` -d `},
		{"-D", ` -D `},
		{"refused edit", `^# ` + refusedNote},
		{"refused client", `^\$ tcp 1 to 10\.0\.1\.100:8080`},
		{"-C, save and restore", `^\$ restore`},
		{"weight 0", ` -w 0`},
		{"weight of 65535 and more", ` -w (65535|65536|100000)`},
		{"thresholds", ` -x `},
		{"lower threshold", ` -y `},
		{"held connections", ` hold`},
		{"connections closed later", `^\$ close`},
		{"resets by the client", `^\$ (reset|tcp .* rst$)`},
		{"echo", `^\$ echo`},
		{"many clients", `from 10\.9\.0\.\d+\.\.|from fd00:9::[0-9a-f]+\.\.`},
		{"many flows", `^\$ (tcp|udp) [1-4]\d `},
		{"one UDP flow", ` same`},
		{"reused ports", `^\$ (tcp|udp) .* sport 2`},
		{"half-open SYNs", `^\$ syn`},
		{"retransmitted SYNs", ""}, // found by repeatsSYN
		{"edits while traffic runs", ` while `},
		{"time that passes", `^\$ sleep`},
		{"short timeouts", `--set`},
		{"expire_nodest_conn", `expire_nodest_conn=1`},
		{"expire_quiescent_template", `expire_quiescent_template=1`},
		{"schedulers' options", ` -b `},
		{"persistent connections listed", `--persistent-conn`},
		{"twos", ` -s twos`},
	} {
		feature := Feature{Name: f[0]}
		if f[1] != "" {
			feature.in = regexp.MustCompile(`(?m)` + f[1])
		}
		all = append(all, feature)
	}
	for _, s := range Schedulers {
		all = append(all, Feature{"scheduler " + s, regexp.MustCompile(` -s ` + s + `( |\n)`)})
	}
	return all
}

// In says whether a scenario has the feature.
func (f Feature) In(text string) bool {
	switch f.Name {
	case "-e of the method":
		return editsMethod(text)
	case "retransmitted SYNs":
		return repeatsSYN(text)
	}
	return f.in.MatchString(text)
}

var ofServer = regexp.MustCompile(`ipvsadm -([ae]) (.*) -r ([^ ]+) (-[mgi])`)

func editsMethod(text string) bool {
	methods := map[string]string{}
	for _, m := range ofServer.FindAllStringSubmatch(text, -1) {
		server := m[2] + " " + m[3]
		if was, known := methods[server]; m[1] == "e" && known && was != m[4] {
			return true
		}
		methods[server] = m[4]
	}
	return false
}

func repeatsSYN(text string) bool {
	before := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "$ syn") && line == before {
			return true
		}
		before = line
	}
	return false
}

// Coverage counts the features of n random scenarios of a seed, by name, and tells them as a
// table: the feature and in how many of the scenarios it is.
func Coverage(seed, n uint64) (counts map[string]int, table string) {
	counts = map[string]int{}
	var out strings.Builder
	features := Features()
	for number := range n {
		text := Random(seed, number)
		for _, f := range features {
			if f.In(text) {
				counts[f.Name]++
			}
		}
	}
	for _, f := range features {
		fmt.Fprintf(&out, "%5d of %d  %s\n", counts[f.Name], n, f.Name)
	}
	return counts, out.String()
}
