package netlnk

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Entry is a route or a policy rule, in the words of "ip route" and "ip rule" as keepalived
// reads them.
type Entry struct {
	Rule  bool // not a route
	Words string
}

func (e Entry) String() string {
	if e.Rule {
		return "rule " + e.Words
	}
	return "route " + e.Words
}

// protoKeepalived marks routes and rules as keepalived's (RTPROT_KEEPALIVED in
// linux/rtnetlink.h), so that "ip route show proto keepalived" finds them.
const protoKeepalived = unix.RTPROT_KEEPALIVED

// AddEntry adds a route or a rule; changed is false where it is there already. The error
// names the word that is not understood, or wraps the kernel's errno or ErrNoDevice.
func AddEntry(e Entry) (changed bool, err error) {
	err = e.request(true)
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("add %s: %w", e, err)
	}
	return true, nil
}

// RemoveEntry removes a route or a rule; changed is false where it is gone already, also with
// its device.
func RemoveEntry(e Entry) (changed bool, err error) {
	err = e.request(false)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, ErrNoDevice) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove %s: %w", e, err)
	}
	return true, nil
}

func (e Entry) request(add bool) error {
	w := &words{list: strings.Fields(e.Words)}
	build := routeRequest
	if e.Rule {
		build = ruleRequest
	}
	req := build(w, add)
	if w.err != nil {
		return w.err
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// words are read one after the other. The first error is kept, and what is read after it
// means nothing.
type words struct {
	list []string
	err  error
}

// more says whether there is another word.
func (w *words) more() bool { return w.err == nil && len(w.list) > 0 }

func (w *words) next() string {
	if len(w.list) == 0 {
		w.fail("a word is missing")
		return ""
	}
	word := w.list[0]
	w.list = w.list[1:]
	return word
}

// peek is the next word, which stays.
func (w *words) peek() string {
	if len(w.list) == 0 {
		return ""
	}
	return w.list[0]
}

func (w *words) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// number is an unsigned number of so many bits in any base.
func (w *words) number(bits int) uint64 {
	word := w.next()
	n, err := strconv.ParseUint(word, 0, bits)
	if err != nil {
		w.fail("%q is no number of %d bits", word, bits)
	}
	return n
}

// named is a number, or a name of the files of that name of iproute2.
func (w *words) named(file string, bits int, known map[string]uint64) uint32 {
	word := w.next()
	return uint32(w.lookUp(word, file, bits, known))
}

func (w *words) lookUp(word, file string, bits int, known map[string]uint64) uint64 {
	if n, err := strconv.ParseUint(word, 0, bits); err == nil {
		return n
	}
	if n, ok := known[word]; ok {
		return n
	}
	for _, dir := range []string{"/etc/iproute2/", "/usr/share/iproute2/", "/usr/lib/iproute2/"} {
		content, err := os.ReadFile(dir + file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			number, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if fields := strings.Fields(line); len(fields) == 2 {
				number, name = fields[0], fields[1]
			}
			if n, err := strconv.ParseUint(number, 0, bits); err == nil && strings.TrimSpace(name) == word {
				return n
			}
		}
	}
	w.fail("%q is neither a number nor a name of %s", word, file)
	return 0
}

// The names that need no file.
var (
	tableNames = map[string]uint64{"default": unix.RT_TABLE_DEFAULT, "main": unix.RT_TABLE_MAIN, "local": unix.RT_TABLE_LOCAL}
	scopeNames = map[string]uint64{"global": unix.RT_SCOPE_UNIVERSE, "site": unix.RT_SCOPE_SITE, "link": unix.RT_SCOPE_LINK, "host": unix.RT_SCOPE_HOST, "nowhere": unix.RT_SCOPE_NOWHERE}
	protoNames = map[string]uint64{"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "keepalived": protoKeepalived}
)

func (w *words) table() uint32 { return w.named("rt_tables", 32, tableNames) }
func (w *words) proto() uint8  { return uint8(w.named("rt_protos", 8, protoNames)) }
func (w *words) tos() uint8    { return uint8(w.named("rt_dsfield", 8, nil)) }

// realms are TO or FROM/TO.
func (w *words) realms() uint32 {
	from, to, both := strings.Cut(w.next(), "/")
	if !both {
		from, to = "0", from
	}
	return uint32(w.lookUp(from, "rt_realms", 16, nil))<<16 | uint32(w.lookUp(to, "rt_realms", 16, nil))
}

// scopeOf is a scope by its name or number, as ip address and ip route have it.
func scopeOf(word string) (uint8, error) {
	w := &words{}
	n := w.lookUp(word, "rt_scopes", 8, scopeNames)
	return uint8(n), w.err
}

// network is an address with or without a mask.
func (w *words) network() netip.Prefix {
	word := w.next()
	if p, err := netip.ParsePrefix(word); err == nil {
		return p
	}
	a, err := netip.ParseAddr(word)
	if err != nil {
		w.fail("%q is no network", word)
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// address is an address, perhaps behind its family's name.
func (w *words) address() netip.Addr {
	word := w.next()
	if word == "inet" || word == "inet6" {
		word = w.next()
	}
	if a, err := netip.ParseAddr(word); err == nil {
		return a
	}
	if p, err := netip.ParsePrefix(word); err == nil {
		return p.Addr()
	}
	w.fail("%q is no address", word)
	return netip.Addr{}
}

// device is a device's index.
func (w *words) device() uint32 {
	index, err := linkIndex(w.next())
	if err != nil && w.err == nil {
		w.err = err
	}
	return uint32(index)
}

func attr32(t int, v uint32) *nl.RtAttr { return nl.NewRtAttr(t, nl.Uint32Attr(v)) }

// familyOf is AF_INET or AF_INET6.
func familyOf(a netip.Addr) uint8 {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
