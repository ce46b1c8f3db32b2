package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"weir/conf"
	checks "weir/internal/check"
)

const genhashUsage = `Usage: %s COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use SSL connection to remote server.
   --use-sni         -I       Use SNI during SSL handshake (uses virtualhost setting; see -V).
   --server          -s       Use the specified remote server address.
   --port            -p       Use the specified remote server port.
   --url             -u       Use the specified remote server url.
   --use-virtualhost -V       Use the specified virtualhost in GET query.
   --verbose         -v       Use verbose mode output.
   --help            -h       Display this short inlined help screen.
   --fwmark          -m       Use the specified FW mark.
   --protocol        -P       Use the specified HTTP protocol - '1.0', 1.0c', '1.1'.
                                1.0c means 1.0 with 'Connection: close'
   --timeout         -t       Timeout in seconds
   --conf                     Print the url block for HTTP_GET (weir only).
`

// genhashOption is one option of genhash: flag is one without a value.
type genhashOption struct {
	short byte
	long  string
	flag  func(*genhashOptions)
	value func(*genhashOptions, string) error
}

var genhashTable = []genhashOption{
	{short: 'h', long: "help"},
	{short: 'v', long: "verbose", flag: func(o *genhashOptions) { o.verbose = true }},
	{short: 'S', long: "use-ssl", flag: func(o *genhashOptions) { o.web.Kind, o.web.Shared = conf.CheckSSL, &checks.Shared{} }},
	{short: 'I', long: "use-sni", flag: func(o *genhashOptions) { o.sni = true }},
	{short: 's', long: "server", value: (*genhashOptions).server},
	{short: 'V', long: "use-virtualhost", value: func(o *genhashOptions, text string) error {
		o.page.Host = text
		return nil
	}},
	{short: 'p', long: "port", value: func(o *genhashOptions, text string) error {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("invalid port number '%s'", text)
		}
		o.web.Target = netip.AddrPortFrom(o.web.Target.Addr(), uint16(n))
		return nil
	}},
	{short: 'u', long: "url", value: func(o *genhashOptions, text string) error {
		o.page.Path = text
		return nil
	}},
	{short: 'm', long: "fwmark", value: func(o *genhashOptions, text string) error {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("invalid fwmark '%s'", text)
		}
		o.web.Mark = uint32(n)
		return nil
	}},
	{short: 'P', long: "protocol", value: func(o *genhashOptions, text string) error {
		o.web.Protocol = strings.ToUpper(text)
		if o.web.Protocol != "1.0" && o.web.Protocol != "1.0C" && o.web.Protocol != "1.1" {
			return fmt.Errorf("invalid HTTP protocol version '%s'", text)
		}
		return nil
	}},
	{short: 't', long: "timeout", value: func(o *genhashOptions, text string) error {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("invalid timeout '%s'", text)
		}
		o.web.Timeout = time.Duration(n) * time.Second
		return nil
	}},
	{long: "conf", flag: func(o *genhashOptions) { o.conf = true }},
}

// parse reads options as getopt_long does: short ones in one word, long ones cut off, a
// value behind = or in the next word. errSilent is that there is nothing to say but how
// genhash is used.
func (o *genhashOptions) parse(args []string) error {
	if len(args) < 2 {
		return errSilent
	}
	var rest []string
	help := false
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		var err error
		switch {
		case word == "--":
			rest, args = append(rest, args...), nil
		case strings.HasPrefix(word, "--"):
			args, err = o.long(word, args, &help)
		case len(word) > 1 && word[0] == '-':
			args, err = o.short(word[1:], args, &help)
		default:
			rest = append(rest, word)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case help:
		return errSilent
	case len(rest) > 0:
		return complaint("Unexpected argument(s): " + strings.Join(rest, " "))
	case !o.web.Target.Addr().IsValid() || o.web.Target.Port() == 0 || o.page.Path == "":
		return errSilent
	}
	if o.sni {
		o.page.Name = o.page.Host
	}
	return nil
}

// short reads the options of a word behind its -.
func (o *genhashOptions) short(word string, args []string, help *bool) ([]string, error) {
	for word != "" {
		letter := word[0]
		word = word[1:]
		option := findOption(func(one genhashOption) bool { return one.short == letter })
		switch {
		case option == nil:
			return nil, complaint("Unknown option -" + string(letter))
		case option.flag != nil:
			option.flag(o)
			continue
		case option.value == nil:
			*help = true
			continue
		case word == "" && len(args) == 0:
			return nil, complaint("Missing parameter for option -" + string(letter))
		case word == "":
			word, args = args[0], args[1:]
		}
		return args, option.value(o, word)
	}
	return args, nil
}

// long reads --NAME, --NAME=VALUE and --NAME VALUE.
func (o *genhashOptions) long(word string, args []string, help *bool) ([]string, error) {
	name, value, given := strings.Cut(word[2:], "=")
	option := findOption(func(one genhashOption) bool { return one.long == name })
	if option == nil && name != "" {
		option = findOption(func(one genhashOption) bool { return strings.HasPrefix(one.long, name) })
	}
	switch {
	case option == nil || given && option.value == nil:
		return nil, complaint("Unknown option " + word)
	case option.flag != nil:
		option.flag(o)
		return args, nil
	case option.value == nil:
		*help = true
		return args, nil
	case !given && len(args) == 0:
		return nil, complaint("Missing parameter for option --" + option.long)
	case !given:
		value, args = args[0], args[1:]
	}
	return args, option.value(o, value)
}

// complaint is a mistake in genhash's words, which begin with a capital.
type complaint string

func (c complaint) Error() string { return string(c) }

func findOption(is func(genhashOption) bool) *genhashOption {
	for i := range genhashTable {
		if is(genhashTable[i]) {
			return &genhashTable[i]
		}
	}
	return nil
}
