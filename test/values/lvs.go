package values

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// lvsDump is what keepalived's checker process shows of a file.
type lvsDump struct {
	ssl *dumped
	// groups are the entries of each virtual_server_group, as the title of a virtual server
	// would be.
	groups  map[string][]string
	servers []*serverDump
	checks  []*checkDump
	// bfds are the checks of BFD sessions, which are not among the others.
	bfds []*checkDump
}

type serverDump struct {
	title string
	*dumped
	sorry *dumped
	reals []*dumped
}

type checkDump struct {
	title string
	*dumped
	urls []*dumped
}

// CompareLVS is CompareVRRP for virtual servers, real servers and their checks, and for
// global_defs and SSL.
func CompareLVS(dump []string, shown map[string]any) (same int, differences []string) {
	d := understoodLVS(dump)
	c := &comparison{}
	c.rows("global_defs", globalRows, blocksGlobal(dump), shown["global_defs"].(map[string]any))
	c.rows("SSL", sslRows, d.ssl, shown["SSL"].(map[string]any))
	theirs := map[string]*serverDump{}
	for _, v := range d.servers {
		theirs[d.key(v)] = v
	}
	checks := d.checks
	for _, v := range objects(shown["virtual_server"]) {
		key := serverKey(v)
		server := theirs[key]
		if server == nil {
			c.differ("virtual_server %s is not there in keepalived, which has %q", key, sortedKeys(theirs))
			return c.same, c.differences
		}
		delete(theirs, key)
		checks = c.server("virtual_server "+key, server, v, checks)
	}
	for _, key := range sortedKeys(theirs) {
		c.differ("virtual_server %s is there only in keepalived", key)
	}
	for _, check := range checks {
		c.differ("a check %s is there only in keepalived", check.title)
	}
	c.bfdAlphas(d, shown)
	return c.same, c.differences
}

// bfdAlphas compares which checks of a BFD session have alpha. keepalived has these checks in
// an order of its own; those of each real server are compared by server.
func (c *comparison) bfdAlphas(d *lvsDump, shown map[string]any) {
	var theirs, ours []string
	for _, check := range d.bfds {
		on := check.values["Alpha is"] == "ON"
		theirs = append(theirs, fmt.Sprintf("%s alpha %v", check.values["Name"], on))
	}
	for _, v := range objects(shown["virtual_server"]) {
		for _, r := range objects(v["real_server"]) {
			for _, check := range objects(r["checks"]) {
				if bfd, ok := check["bfd"].(map[string]any); ok {
					ours = append(ours, fmt.Sprintf("%v alpha %v", bfd["name"], check["alpha"]))
				}
			}
		}
	}
	if slices.Equal(sorted(theirs), sorted(ours)) {
		c.same += len(ours)
		return
	}
	c.differ("BFD_CHECK: keepalived %q, weir %q", sorted(theirs), sorted(ours))
}

// server compares a virtual server, its real servers and their checks, which are taken from
// the beginning of keepalived's. It returns those that are left.
func (c *comparison) server(where string, d *serverDump, v map[string]any, checks []*checkDump) []*checkDump {
	c.rows(where, serverRows, d.dumped, v)
	if d.sorry != nil {
		c.rows(where+": sorry_server", sorryRows, d.sorry, v)
	}
	reals := objects(v["real_server"])
	if len(reals) != len(d.reals) {
		c.differ("%s: keepalived has %d real servers, weir %d", where, len(d.reals), len(reals))
		return checks
	}
	for i, r := range reals {
		at := fmt.Sprintf("%s: real_server %v", where, r["address"])
		c.rows(at, realRows, d.reals[i], r)
		for _, check := range objects(r["checks"]) {
			kind := plainText(check["check"])
			if kind == "BFD_CHECK" { // see bfdAlphas
				continue
			}
			if len(checks) == 0 {
				c.differ("%s: %s is not there in keepalived", at, kind)
				continue
			}
			c.check(at+": "+kind, checks[0], check)
			checks = checks[1:]
		}
	}
	return checks
}

func (c *comparison) check(where string, d *checkDump, v map[string]any) {
	c.rows(where, checkRows, d.dumped, v)
	http, ok := v["http"].(map[string]any)
	if !ok {
		return
	}
	urls := objects(http["url"])
	if len(urls) != len(d.urls) {
		c.differ("%s: keepalived has %d urls, weir %d", where, len(d.urls), len(urls))
		return
	}
	for i, u := range urls {
		c.rows(fmt.Sprintf("%s: url %d", where, i+1), urlRows, d.urls[i], u)
	}
}

func objects(list any) (all []map[string]any) {
	for _, one := range list.([]any) {
		all = append(all, one.(map[string]any))
	}
	return all
}

// key is what weir calls a virtual server.
func (d *lvsDump) key(v *serverDump) string {
	switch kind, name, _ := strings.Cut(v.title, " "); kind {
	case "VIP":
		return v.values["protocol"] + " " + name
	case "FWMARK":
		if v.values["Address family"] == "inet6" {
			name += " IPv6"
		}
		return "FWM " + name
	default:
		return strings.Join(sorted(d.groups[name]), " ")
	}
}

// serverKey is what weir calls a virtual server: its address, or all of its group without
// their protocol.
func serverKey(v map[string]any) string {
	var keys []string
	for _, key := range v["keys"].([]any) {
		key := key.(string)
		key = strings.Replace(key, "protocol 132", "SCTP", 1)
		if v["group"] != "" {
			if _, address, _ := strings.Cut(key, " "); !strings.HasPrefix(key, "FWM ") {
				key = address
			}
			key = strings.TrimSuffix(key, " IPv6")
		}
		keys = append(keys, key)
	}
	return strings.Join(sorted(keys), " ")
}

// understoodLVS reads a dump.
func understoodLVS(lines []string) *lvsDump {
	d := &lvsDump{ssl: newDumped(), groups: map[string][]string{}}
	r := &lvsReader{d: d, now: newDumped()}
	for _, line := range lines {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "------<") {
			r.section, r.now = strings.Trim(text, "-<> "), newDumped()
			continue
		}
		r.line(text, len(line)-len(strings.TrimLeft(line, " ")))
	}
	d.checks = slices.DeleteFunc(d.checks, func(c *checkDump) bool {
		if c.values["Keepalive method"] != "BFD_CHECK" {
			return false
		}
		d.bfds = append(d.bfds, c)
		return true
	})
	return d
}

// lvsReader reads a dump line by line.
type lvsReader struct {
	d       *lvsDump
	section string
	// now is the block that lines belong to.
	now   *dumped
	group string
}

func (r *lvsReader) line(text string, indent int) {
	switch r.section {
	case "SSL definitions":
		label, value, _ := strings.Cut(text, " : ")
		r.d.ssl.values[label] = value
	case "Virtual server group":
		r.groupLine(text)
	case "Virtual server", "Real server":
		r.serverLine(text, indent)
	case "Health checkers":
		r.checkLine(text, indent)
	}
}

func (r *lvsReader) groupLine(text string) {
	p := pairs(text)
	switch {
	case p["Virtual Server Group"] != "":
		r.group = p["Virtual Server Group"]
	case p["VIP"] != "":
		r.entries(p["VIP"], p["VIP"], p["VPORT"])
	case p["VIP Range"] != "":
		first, last, _ := strings.Cut(p["VIP Range"], "-")
		r.entries(first, last, p["VPORT"])
	case p["FWMARK"] != "":
		mark, _, _ := strings.Cut(p["FWMARK"], " ")
		r.d.groups[r.group] = append(r.d.groups[r.group], "FWM "+mark)
	}
}

// entries adds the addresses from one to another.
func (r *lvsReader) entries(first, last, port string) {
	n, _ := strconv.Atoi(port)
	address, err := netip.ParseAddr(first)
	end, endErr := netip.ParseAddr(last)
	for ; err == nil && endErr == nil && !end.Less(address); address = address.Next() {
		r.d.groups[r.group] = append(r.d.groups[r.group], netip.AddrPortFrom(address, uint16(n)).String())
	}
}

// trackedBFDs is the list of a real server's BFD sessions.
const trackedBFDs = "Tracked BFDs"

func (r *lvsReader) serverLine(text string, indent int) {
	p := pairs(text)
	label, value, valued := strings.Cut(text, " = ")
	if !valued {
		label, value, _ = strings.Cut(text, " is ")
	}
	switch {
	case strings.HasPrefix(text, "VS ") && indent == 1:
		v := &serverDump{dumped: newDumped()}
		switch {
		case p["VS VIP"] != "":
			v.title = "VIP " + hostPort(p["VS VIP"], p["VPORT"])
		case p["VS FWMARK"] != "":
			v.title = "FWMARK " + p["VS FWMARK"]
		default:
			name, _, _ := strings.Cut(strings.Trim(value, "["), "]")
			v.title = "GROUP " + name
		}
		r.d.servers, r.now = append(r.d.servers, v), v.dumped
	case p["RIP"] != "":
		v := r.server()
		v.reals, r.now = append(v.reals, newDumped()), newDumped()
		v.reals[len(v.reals)-1] = r.now
		maps.Copy(r.now.values, p)
	case strings.HasPrefix(label, "sorry server"):
		v := r.server()
		v.sorry = newDumped()
		v.sorry.values["sorry server"] = plainAddress(value)
	case r.section == "Virtual server" && indent == 5 && r.server().sorry != nil:
		r.server().sorry.values[label] = value
	case strings.HasPrefix(text, "quorum = "):
		maps.Copy(r.now.values, p)
	case strings.HasPrefix(text, "Tracked BFDs"):
		r.now.lists[trackedBFDs] = []string{}
	case r.now.lists[trackedBFDs] != nil && indent == 5: // the last of a real server
		r.now.lists[trackedBFDs] = append(r.now.lists[trackedBFDs], text)
	default:
		r.now.values[label] = value
	}
}

func (r *lvsReader) server() *serverDump { return r.d.servers[len(r.d.servers)-1] }

func (r *lvsReader) checkLine(text string, indent int) {
	if indent == 1 {
		c := &checkDump{title: text, dumped: newDumped()}
		r.d.checks, r.now = append(r.d.checks, c), c.dumped
		return
	}
	label, value, valued := strings.Cut(text+" ", " = ")
	value = strings.TrimSpace(value)
	c := r.d.checks[len(r.d.checks)-1]
	switch {
	case label == "Checked url":
		u := newDumped()
		u.values["path"] = value
		c.urls, r.now = append(c.urls, u), u
	case indent == 7: // a status code
		r.now.lists["codes"] = append(r.now.lists["codes"], text)
	case label == "Keepalive method":
		kind, protocol, _ := strings.Cut(value, ", http protocol ")
		r.now.values[label] = kind
		if protocol != "" {
			r.now.values["http protocol"] = protocol
		}
	case valued:
		r.now.values[label] = value
	case text == "Regex no match":
		r.now.values[text] = ""
	case strings.HasPrefix(text, "Regex"): // its options, its stack
	default: // "Enable SNI set"
		if i := strings.LastIndexByte(text, ' '); i >= 0 {
			r.now.values[text[:i]] = text[i+1:]
		}
	}
}

// pairs are the values of a line such as "VIP = 192.0.2.1, VPORT = 80".
func pairs(text string) map[string]string {
	p := map[string]string{}
	for part := range strings.SplitSeq(text, ", ") {
		if label, value, ok := strings.Cut(part, " = "); ok {
			p[label] = value
		}
	}
	return p
}

func hostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// plainAddress is "[192.0.2.1]:tcp:80" or "[192.0.2.1]:80" as Go writes it.
func plainAddress(text string) string {
	host, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]")
	if !ok {
		return text
	}
	port := rest[strings.LastIndexByte(rest, ':')+1:]
	return hostPort(host, port)
}
