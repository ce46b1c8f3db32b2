package conf

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"weir/conf/text"
)

// AddressHint says what to write instead of a word that is nearly an IP address; "" where that
// cannot be told.
func AddressHint(word string) string {
	write, why := meantAddress(word)
	if write == "" {
		return why
	}
	return "write " + write + why
}

// meantAddress is what is meant by a word that is nearly an IP address, and how the word differs
// from it. Without the former the latter is what was expected, if anything.
func meantAddress(word string) (write, why string) {
	if ap, ok := withPort(word); ok {
		return ap.Addr().String(), ", without the port"
	}
	if a, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil && a.Zone() == "" && strings.ContainsAny(word, "[]") {
		return a.String(), ", without the brackets"
	}
	if a, err := netip.ParseAddr(word); err == nil && a.Zone() != "" {
		return a.WithZone("").String(), ", without the zone"
	}
	if base, _, masked := strings.Cut(word, "/"); masked && isAddress(base) {
		return base, ", without the mask"
	}
	if trimmed := strings.TrimRight(word, ",;."); trimmed != word && isAddress(trimmed) {
		return trimmed, ""
	}
	switch {
	case isDigits(strings.ReplaceAll(word, ".", "")):
		return meant4(word)
	case strings.Contains(word, ":") && strings.Trim(strings.ToLower(word), "0123456789abcdef:.") == "":
		return "", expected6(word)
	case hostName.MatchString(word):
		return "", "expected an IP address: names are not looked up"
	}
	return "", ""
}

// hostName is how hosts are called, and interfaces.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)

// meant4 is meantAddress for numbers with dots between them.
func meant4(word string) (write, why string) {
	parts := strings.Split(word, ".")
	if len(parts) != 4 {
		return "", fmt.Sprintf("expected four numbers with dots between them, as in 192.0.2.1, and not %d", len(parts))
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		switch {
		case part == "":
			return "", "expected four numbers with dots between them, as in 192.0.2.1: one is missing"
		case err != nil || n > 255:
			return "", fmt.Sprintf("expected numbers from 0 to 255, and not %s", text.Shorten(part))
		}
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, "."), ": a number that begins with 0 is octal for some programs"
}

// expected6 is what was expected instead of hexadecimal digits with colons between them.
func expected6(word string) string {
	if strings.Count(word, "::") > 1 || strings.Contains(word, ":::") {
		return "expected :: once at most"
	}
	groups := strings.Split(word, ":")
	for _, group := range groups {
		if len(group) > 4 && !strings.Contains(group, ".") {
			return fmt.Sprintf("expected groups of at most four digits, and not %s", text.Shorten(group))
		}
	}
	if !strings.Contains(word, "::") && len(groups) != 8 {
		return fmt.Sprintf("expected eight groups of digits, or :: in place of some, and not %d", len(groups))
	}
	if len(groups) > 8 {
		return "expected at most eight groups of digits"
	}
	return ""
}

// withPort reads an address that has a port behind it, as a URL has, or behind a comma.
func withPort(word string) (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(word)
	if addr, port, comma := strings.Cut(word, ","); err != nil && comma {
		if a, failed := netip.ParseAddr(addr); failed == nil {
			if n, failed := strconv.ParseUint(port, 10, 16); failed == nil {
				ap, err = netip.AddrPortFrom(a, uint16(n)), nil
			}
		}
	}
	return ap, err == nil && ap.Addr().Zone() == ""
}

// address is an IPv4 or IPv6 address.
func address() kind[netip.Addr] {
	return kind[netip.Addr]{"an IP address", func(word string) (netip.Addr, *complaint) {
		addr, err := netip.ParseAddr(word)
		switch {
		case err == nil && addr.Zone() != "":
			return netip.Addr{}, &complaint{what: text.Quote(word) + " has a zone", hint: AddressHint(word)}
		case err == nil:
			return addr.Unmap(), nil
		}
		if base, mask, masked := strings.Cut(word, "/"); masked && isDigits(mask) {
			if addr, err := netip.ParseAddr(base); err == nil && addr.Zone() == "" {
				return addr.Unmap(), &complaint{what: "the mask of " + text.Quote(word) + " is ignored", hint: "write " + base, ignored: true}
			}
		}
		return netip.Addr{}, &complaint{what: text.Quote(word) + " is not an IP address", hint: AddressHint(word)}
	}}
}

// addressBeforePort is an address behind which a port may stand, as a word of its own.
func addressBeforePort() kind[netip.Addr] {
	k := address()
	return kind[netip.Addr]{k.expects, func(word string) (netip.Addr, *complaint) {
		a, c := k.parse(word)
		if ap, ok := withPort(word); ok && c != nil {
			c.hint = fmt.Sprintf("write the port apart: %s %d", ap.Addr(), ap.Port())
		}
		return a, c
	}}
}

// address4 is an IPv4 address, and address6 an IPv6 one.
func address4() kind[netip.Addr] { return ofFamily("an IPv4 address", netip.Addr.Is4) }

func address6() kind[netip.Addr] { return ofFamily("an IPv6 address", netip.Addr.Is6) }

func ofFamily(expects string, is func(netip.Addr) bool) kind[netip.Addr] {
	any := address()
	return kind[netip.Addr]{expects, func(word string) (netip.Addr, *complaint) {
		addr, c := any.parse(word)
		if c.fits() && !is(addr) {
			return addr, complain("%s is not %s", word, expects)
		}
		return addr, c
	}}
}

// group4 and group6 are multicast addresses.
func group4() kind[netip.Addr] { return multicast(address4()) }

func group6() kind[netip.Addr] { return multicast(address6()) }

func multicast(k kind[netip.Addr]) kind[netip.Addr] {
	return kind[netip.Addr]{strings.Replace(k.expects, " address", " multicast address", 1), func(word string) (netip.Addr, *complaint) {
		a, c := k.parse(word)
		if c.fits() && !a.IsMulticast() {
			c = complain("%s is not a multicast address", word)
		}
		return a, c
	}}
}

// network is an address with or without a prefix length.
func network() kind[netip.Prefix] {
	return kind[netip.Prefix]{"an address or a network such as 10.0.0.0/24", func(word string) (netip.Prefix, *complaint) {
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return p, &complaint{what: text.Quote(word) + " is not a network", hint: NetworkHint(word)}
		}
		return p.Masked(), nil
	}}
}

// NetworkHint is AddressHint for a word that is nearly an address or a network, where other words
// may stand, too.
func NetworkHint(word string) string {
	base, length, masked := strings.Cut(word, "/")
	a, err := netip.ParseAddr(base)
	switch ones := maskBits(length); {
	case !masked && !strings.ContainsAny(word, ".:"):
		return "" // it may be any word
	case !masked:
		return AddressHint(word)
	case err == nil && a.Zone() == "" && ones > 0:
		return fmt.Sprintf("write %s/%d", base, ones)
	case err == nil && a.Zone() == "":
		return fmt.Sprintf("expected a length from 0 to %d behind the /", a.BitLen())
	}
	parts := strings.Count(base, ".") + 1
	if whole := base + strings.Repeat(".0", max(4-parts, 0)); parts < 4 && isAddress(whole) {
		return fmt.Sprintf("write %s/%s", whole, length)
	}
	write, why := meantAddress(base)
	if write == "" {
		return why
	}
	return "write " + write + "/" + length + why
}
