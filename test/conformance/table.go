package conformance

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/lvs"
)

// Table is the state of a director that the commands of a scenario so far have led to.
type Table struct {
	services []lvs.VirtualServer
	marks    []lvs.MarkRule
	rules    lvs.ConnRules
	timeouts lvs.Timeouts
	saved    []lvs.VirtualServer
}

// Save carries out the step "save", as ipvsadm -S prints a table: servers in the order of
// their addresses and ports, IPv6 first (ipvs_cmp_dests in libipvs.c), and without thresholds.
func (t *Table) Save() {
	t.saved = slices.Clone(t.services)
	for i := range t.saved {
		servers := slices.Clone(t.saved[i].RealServers)
		for j := range servers {
			servers[j].Upper, servers[j].Lower = 0, 0
		}
		slices.SortFunc(servers, func(a, b lvs.RealServer) int {
			if a.Addr.Is6() != b.Addr.Is6() {
				return b.Addr.BitLen() - a.Addr.BitLen()
			}
			return a.AddrPort().Compare(b.AddrPort())
		})
		t.saved[i].RealServers = servers
	}
}

// Restore carries out the step "restore": it adds what was saved.
func (t *Table) Restore() { t.services = append(slices.Clone(t.services), t.saved...) }

// Plan is the table as the data plane takes it. All services have the settings that are
// sysctls of IPVS.
func (t *Table) Plan() lvs.Plan {
	services := slices.Clone(t.services)
	for i := range services {
		services[i].Rules = t.rules
	}
	return lvs.Plan{Services: services, Marks: t.marks, Timeouts: t.timeouts}
}

// Mark carries out the step "mark CIDR N".
func (t *Table) Mark(destination, mark string) error {
	n, err := number(mark)
	if err != nil {
		return err
	}
	to, err := netip.ParsePrefix(destination)
	if err != nil {
		a, err := netip.ParseAddr(destination)
		if err != nil {
			return err
		}
		to = netip.PrefixFrom(a, a.BitLen())
	}
	t.marks = append(slices.Clone(t.marks), lvs.MarkRule{Mark: n, Destination: to})
	return nil
}

// Sysctl carries out the step "sysctl net.ipv4.vs.NAME=VALUE".
func (t *Table) Sysctl(setting string) error {
	switch strings.TrimPrefix(setting, "net.ipv4.vs.") {
	case "conn_reuse_mode=0":
		t.rules.ReuseMode = lvs.ReuseKeeps
	case "expire_nodest_conn=1":
		t.rules.ExpireNoDest = true
	case "expire_quiescent_template=1":
		t.rules.ExpireQuiescentTemplate = true
	default:
		return fmt.Errorf("sysctl %s is not known", setting)
	}
	return nil
}

// Admin carries out the step "ipvsadm ARGS" where it changes the table.
func (t *Table) Admin(args []string) error {
	verb := args[0]
	switch verb {
	case "-C":
		t.services = nil
		return nil
	case "--set":
		return t.set(args[1:])
	}
	if len(args) < 3 {
		return fmt.Errorf("ipvsadm %s: no service is named", verb)
	}
	key, err := Service(map[string]string{"-t": "TCP", "-u": "UDP", "-f": "FWM"}[args[1]], args[2], slices.Contains(args, "-6"))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(t.services, func(vs lvs.VirtualServer) bool { return vs.ServiceKey == key })
	if (i < 0) != (verb == "-A") {
		return fmt.Errorf("ipvsadm %s %s: it is there already, or not at all", verb, key)
	}
	t.services = slices.Clone(t.services)
	switch verb {
	case "-A":
		t.services = append(t.services, lvs.VirtualServer{ServiceKey: key})
		return setService(&t.services[len(t.services)-1], args)
	case "-E":
		return setService(&t.services[i], args)
	case "-D":
		t.services = slices.Delete(t.services, i, i+1)
		return nil
	}
	return setServer(&t.services[i], verb, args)
}

// set is --set TCP TCPFIN UDP, in seconds; 0 leaves a timeout as it is.
func (t *Table) set(seconds []string) error {
	for i, to := range []*time.Duration{&t.timeouts.Established, &t.timeouts.FinWait, &t.timeouts.UDP} {
		if i >= len(seconds) {
			return fmt.Errorf("ipvsadm --set takes three times, %d are given", len(seconds))
		}
		n, err := number(seconds[i])
		if err != nil {
			return err
		}
		if n > 0 {
			*to = time.Duration(n) * time.Second
		}
	}
	return nil
}

// option is the word that follows this one, or a default where this one is missing.
func option(args []string, name, otherwise string) string {
	if i := slices.Index(args, name); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return otherwise
}

func setService(vs *lvs.VirtualServer, args []string) (err error) {
	flags := option(args, "-b", "")
	vs.Scheduler = lvs.Scheduler(option(args, "-s", "wlc"))
	vs.OnePacket = slices.Contains(args, "-o")
	vs.SHPort, vs.SHFallback = strings.Contains(flags, "h-port"), strings.Contains(flags, "h-fallback")
	vs.Persistence, err = persistence(args)
	return err
}

// persistence is -p TIMEOUT and -M NETMASK, or a prefix length of IPv6.
func persistence(args []string) (out lvs.Persistence, err error) {
	seconds := option(args, "-p", "")
	if seconds == "" {
		return out, nil
	}
	n, err := number(seconds)
	if err != nil {
		return out, err
	}
	out.Timeout = time.Duration(n) * time.Second
	mask := option(args, "-M", "")
	if bits, err := strconv.Atoi(mask); err == nil {
		ones := netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		out.Netmask = netip.PrefixFrom(ones, bits).Masked().Addr()
	} else if mask != "" {
		out.Netmask, err = netip.ParseAddr(mask)
		return out, err
	}
	return out, nil
}

func setServer(vs *lvs.VirtualServer, verb string, args []string) error {
	at, err := netip.ParseAddrPort(option(args, "-r", ""))
	if err != nil {
		return err
	}
	rs := lvs.RealServer{Addr: at.Addr(), Port: at.Port(), Weight: 1, Method: lvs.DirectRoute}
	switch {
	case slices.Contains(args, "-m"):
		rs.Method = lvs.Masquerade
	case slices.Contains(args, "-i"):
		rs.Method = lvs.Tunnel
	}
	if rs.Method != lvs.Masquerade && verb != "-d" { // only NAT changes the port
		rs.Port = vs.Port
	}
	for name, to := range map[string]any{"-w": &rs.Weight, "-x": &rs.Upper, "-y": &rs.Lower} {
		if _, err := fmt.Sscan(option(args, name, "x"), to); err != nil && slices.Contains(args, name) {
			return err
		}
	}
	vs.RealServers = slices.Clone(vs.RealServers)
	i := slices.IndexFunc(vs.RealServers, func(r lvs.RealServer) bool { return r.AddrPort() == rs.AddrPort() })
	if (i < 0) != (verb == "-a") {
		return fmt.Errorf("ipvsadm %s %s: it is there already, or not at all", verb, at)
	}
	switch verb {
	case "-a":
		vs.RealServers = append(vs.RealServers, rs)
	case "-e":
		rs.Edits = vs.RealServers[i].Edits + 1
		vs.RealServers[i] = rs
	case "-d":
		vs.RealServers = slices.Delete(vs.RealServers, i, i+1)
	default:
		return fmt.Errorf("ipvsadm %s is not known", verb)
	}
	return nil
}

// Service is a service's key as ipvsadm names it: "TCP" "10.0.1.100:80", "FWM" "7".
func Service(kind, name string, ipv6 bool) (key lvs.ServiceKey, err error) {
	if kind == "FWM" {
		mark, err := number(name)
		return lvs.MarkKey(mark, ipv6), err
	}
	at, err := netip.ParseAddrPort(name)
	protocol := map[string]lvs.Protocol{"TCP": lvs.TCP, "UDP": lvs.UDP}[kind]
	if err == nil && protocol == 0 {
		err = fmt.Errorf("%s %s is no service", kind, name)
	}
	return lvs.ServiceKey{Protocol: protocol, Addr: at.Addr(), Port: at.Port()}, err
}

func number(word string) (uint32, error) {
	n, err := strconv.ParseUint(word, 10, 32)
	return uint32(n), err
}
