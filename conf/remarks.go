package conf

import (
	"slices"

	"weir/conf/text"
)

// remark is a kind of warning or note. Each can be silenced by its name, in the
// weir block or by a flag.
type remark struct {
	code string
	// refused is a warning for which "keepalived -t" refuses a file (exit code 5).
	refused bool
	explain string
}

// remarks are all kinds, sorted.
var remarks = []remark{
	{"comment-in-word", false, "a # or ! in the middle of a word begins a comment: the word ends before it"},
	{"dr-port", true, "only NAT changes a packet's port: with direct routing or a tunnel a real server has that of its virtual server"},
	{"flag-scheduler", true, "a flag belongs to another scheduler than the service's"},
	{"garp-group-empty", true, "a garp_group without a delay changes nothing"},
	{"given-twice", false, "a keyword or a block stands twice: one of them counts"},
	{"hysteresis", true, "hysteresis has to be below quorum, which could never be lost otherwise"},
	{"include-missing", false, "an include matches no file"},
	{"ipvlan-modes", false, "two instances have ipvlan devices in different modes on an interface, where the kernel has one mode for all"},
	{codeRefuses, true, "keepalived refuses or drops what weir does as it is written"},
	{"listed-twice", true, "a real server, a tracker or a script stands twice: the first one counts"},
	{"long-line", true, "keepalived reads at most 1,022 bytes of a line: 2.4.3 leaves the beginning out, 2.2.7 takes the rest for another line"},
	{"method-default", true, "a virtual_server without lb_kind is forwarded by NAT"},
	{"name-joined", false, "a value ends with a name without braces, and is used inside a word: keepalived looks for the name with what follows it"},
	{"no-effect", true, "a keyword cannot do anything beside the others"},
	{"no-meaning", false, "a keyword has nothing to act on in weir"},
	{"no-real-server", true, "a virtual_server without a real_server is left out"},
	{"no-vip", true, "a vrrp_instance without virtual addresses protects nothing"},
	{"not-here", false, "the machine that checks has no such interface, user or program"},
	{"not-ready", false, "weir cannot do it yet, and refuses to run without it"},
	{"not-yet", false, "weir cannot do it yet, and runs without it"},
	{"obsolete", true, "a word of old versions"},
	{"pair-advert", false, "two directors of an instance disagree about version, interval or authentication: they will both be master"},
	{"pair-priority", false, "two directors of an instance have the same priority, or both or neither wish to be master"},
	{"pair-services", false, "two directors do not serve the same: clients see another service after a failure"},
	{"pair-unicast", false, "two directors do not send their advertisements to one another"},
	{"pair-vips", false, "two directors of an instance do not have the same addresses"},
	{"password-cut", true, "an advertisement has room for 8 bytes of a password"},
	{"port-zero", true, "a service of all ports has to be persistent, or a client's connections are spread over the servers"},
	{"preempt", true, "nopreempt and preempt_delay have no effect with state MASTER"},
	{"protocol-default", true, "a virtual_server without protocol serves UDP"},
	{"quorum-hysteresis", false, "with a quorum above 1 and no hysteresis one server that comes and goes flips the service"},
	{"quorum-weight", true, "a quorum above the servers' weights could never be reached"},
	{"quotes", false, "keepalived reads ' and \\ as parts of a value, unless it is a program"},
	{"raised", true, "a number below the least is read as the least"},
	{"rounded", true, "an interval is finer than what an advertisement can say, and is rounded"},
	{"route-untracked", true, "a route that names no device is not watched"},
	{"rule-priority", true, "a rule without a priority stands before all others"},
	{"scheduler-default", true, "a virtual_server without lb_algo is scheduled by wlc"},
	{"service-without-vip", false, "no vrrp_instance has the address of a virtual_server"},
	{"strict", true, "a keyword contradicts strict mode, which has its way"},
	{"sync-group-single", true, "a vrrp_sync_group of one instance keeps nothing together"},
	{"track-own-interface", true, "an instance tracks its own interface, which it does anyway"},
	{"undefined-name", false, "a value looks like the use of a name that nothing defines"},
	{"unicast-without-peers", true, "keywords of unicast advertisements without a peer: the group is used"},
	{"value-ignored", false, "a value stands where a keyword takes none"},
	{"vip-network", false, "no interface of this machine has a network that holds a virtual address"},
	{"vip-twice", false, "two instances have the same virtual address, or one has it twice"},
	{"vmac-unicast", true, "unicast advertisements of an instance with use_vmac leave by the base interface"},
	{"weight-ignored", true, "what is tracked with a weight cannot change the priority in a vrrp_sync_group, nor priority 255"},
}

func remarkOf(code string) (remark, bool) {
	i := slices.IndexFunc(remarks, func(r remark) bool { return r.code == code })
	if i < 0 {
		return remark{}, false
	}
	return remarks[i], true
}

// ofMachine tells whether a kind of warning depends on the machine that reads the file.
func ofMachine(code string) bool { return code == "vip-network" || code == codeNotHere }

// Explain says what a kind of warning or note is about, and what follows from it.
func Explain(code string) (says string, ok bool) {
	r, ok := remarkOf(code)
	if !ok {
		return "", false
	}
	says = r.explain + "."
	switch {
	case code == codeNotReady:
		says += "\n\"weir run\" and a reload refuse such a file, so it cannot be silenced."
	case r.refused:
		says += "\n\"keepalived -t\" refuses such a file."
	}
	if ofMachine(code) {
		says += "\nIt depends on the machine that checks: --elsewhere leaves it out."
	}
	return says, true
}

// remarkNames are the names of all kinds.
func remarkNames() (names []string) {
	for _, r := range remarks {
		names = append(names, r.code)
	}
	return names
}

// NearestRemark is the kind of warning whose name a word is near to, "" where none is.
func NearestRemark(word string) string { return text.Nearest(word, remarkNames()) }

// CannotSilence tells whether a kind of warning is given in any case: weir does not run
// with it.
func CannotSilence(code string) bool { return code == codeNotReady }

// remarkCode is the name of a kind of warning.
func remarkCode() kind[string] {
	return kind[string]{"the name of a warning, as it stands in brackets", func(word string) (string, *complaint) {
		if CannotSilence(word) {
			return word, &complaint{what: word + " cannot be silenced", hint: `"weir run" refuses such a file`, ignored: true}
		}
		if IsRemark(word) {
			return word, nil
		}
		unknown := complain("there is no warning %s", text.Quote(word))
		if near := NearestRemark(word); near != "" {
			unknown.hint = "did you mean \"" + near + "\"?"
		}
		return "", unknown
	}}
}

// IsRemark tells whether there is a kind of warning of this name.
func IsRemark(code string) bool {
	_, ok := remarkOf(code)
	return ok
}

// Refused tells whether keepalived -t refuses a file for this kind of warning.
func Refused(code string) bool {
	r, _ := remarkOf(code)
	return r.refused
}
