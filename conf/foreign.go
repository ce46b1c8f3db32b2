package conf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/conf/text"
)

// foreignFile is how a file of another program looks.
type foreignFile struct {
	program string
	// first is what the first line that holds anything looks like, lines what some
	// line does; one of them is enough.
	first, lines *regexp.Regexp
}

// foreignFiles are what people hand to weir by mistake.
var foreignFiles = []foreignFile{
	{"a script of a shell", regexp.MustCompile(`^#! ?/(usr/)?(local/)?bin/(env +)?(ba|da|k|z)?sh\b`), nil},
	{"a script", regexp.MustCompile(`^#! ?/(usr/)?(local/)?bin/(env +)?(python|perl|ruby|php)`), nil},
	{"XML or HTML", regexp.MustCompile(`^<(\?xml|!DOCTYPE|!--|[A-Za-z]+[ >/])`), nil},
	{"JSON", regexp.MustCompile(`^(\{|\[)\s*("[^"]*"\s*:|$|\{)`), regexp.MustCompile(`^\s*"[^"]+"\s*:\s`)},
	{"YAML", regexp.MustCompile(`^---\s*$`), regexp.MustCompile(`^(apiVersion|kind|version|services|metadata|spec|hosts|- hosts|- name):(\s|$)`)},
	{"a key or a certificate", regexp.MustCompile(`^-----BEGIN `), nil},
	{"a patch", regexp.MustCompile(`^(diff --git |diff -|Index: |--- [^ ]+|From [0-9a-f]{40} )`), regexp.MustCompile(`^@@ -\d+(,\d+)? \+\d+`)},
	{"a unit of systemd", regexp.MustCompile(`^\[(Unit|Service|Install|Match|Network|NetDev)\]`), regexp.MustCompile(`^\[(Unit|Service|Install|Match|Network|NetDev)\]`)},
	{"an INI or TOML file", regexp.MustCompile(`^\[[\w .:"-]+\]\s*$`), nil},
	{"a configuration of HAProxy", nil, regexp.MustCompile(`^(frontend|backend|listen) \S+|^defaults\s*$`)},
	{"a configuration of nginx", nil, regexp.MustCompile(`^(worker_processes|user) \S+.*;|^(http|events|stream|mail) *\{|^(upstream \S+|server) *\{`)},
	{"a configuration of Apache", nil, regexp.MustCompile(`(?i)^\s*<(VirtualHost|Directory|IfModule|Location|Proxy)\b|^(LoadModule|ServerRoot|DocumentRoot) `)},
	{"a configuration of ldirectord", nil, regexp.MustCompile(`^(checktimeout|checkinterval|virtual|quiescent)\s*=`)},
	{"rules of iptables", regexp.MustCompile(`^\*(filter|nat|mangle|raw|security)\s*$`), regexp.MustCompile(`^(iptables |-A )(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)\b`)},
	{"rules of nftables", regexp.MustCompile(`^flush ruleset|^table (inet|ip|ip6|arp|bridge|netdev) `), nil},
	{"rules of ipvsadm", nil, regexp.MustCompile(`^-[AE] -[tuf] \S+|^-a -[tuf] \S+ -r `)},
	{"a configuration of FRR or BIRD", nil, regexp.MustCompile(`^router (bgp|ospf|ospf6|isis|rip)\b|^protocol (bgp|ospf|kernel|device|static)\b`)},
	{"a configuration of Envoy or Caddy", nil, regexp.MustCompile(`^static_resources:|^\s*reverse_proxy `)},
	{"a log", regexp.MustCompile(`^(\w{3} +\d+ \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)`), nil},
	{"SQL", regexp.MustCompile(`(?i)^(CREATE|INSERT|SELECT|DROP) (TABLE|INTO|DATABASE|\*)`), nil},
	{"a configuration of a network interface", regexp.MustCompile(`^(auto \S+|iface \S+ inet|DEVICE=|BOOTPROTO=|network:)`), nil},
	{"a unit or list of variables", regexp.MustCompile(`^(export )?[A-Z_]+=\S*$`), nil},
}

// shellWords begin lines of a shell that people paste with a configuration.
var shellWords = strings.Fields(`cat echo sudo cd cp mv rm ls systemctl export apt apt-get yum dnf apk ip ifconfig iptables
	ipvsadm chmod chown mkdir touch tee vi vim nano ssh scp if then else elif fi for do done while exit set sleep source grep sed awk
	curl wget docker kubectl tail head journalctl killall pkill pidof kill ping tcpdump keepalived EOF EOT END`)

// isShell tells whether a line outside any block is one of a shell.
func isShell(st *text.Statement) bool {
	word := st.Keyword()
	if word == "service" && len(st.Words) == 3 {
		return slices.Contains([]string{"start", "stop", "restart", "reload", "status"}, st.Words[2].Text)
	}
	return slices.Contains(shellWords, word) || strings.HasPrefix(word, "[root@") || strings.HasPrefix(word, "root@") || word == "$" || word == "#"
}

// maxForeign is how many lines are looked at, maxForeignLine how much of each, in bytes.
const maxForeign, maxForeignLine = 400, 256

// foreign is the program that a text is of, "" where it may be a keepalived.conf: one
// line that begins with a word of it, and as it does, is enough.
func foreign(content string, l *language) string {
	if before := prefixed(content); before != "" {
		return before
	}
	var first string
	found := ""
	for n := 0; content != "" && n < maxForeign; n++ {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		line = line[:min(len(line), maxForeignLine)]
		line = strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r ")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if l.begins(line) {
			return ""
		}
		code := strings.TrimLeft(line, " \t")
		if commented := code[0] == '#' || code[0] == '!'; first == "" && (!commented || strings.HasPrefix(code, "#!")) {
			first = line
			for _, f := range foreignFiles {
				if f.first != nil && f.first.MatchString(line) && found == "" {
					found = f.program
				}
			}
		} else if commented {
			continue
		}
		for _, f := range foreignFiles {
			if found == "" && f.lines != nil && f.lines.MatchString(line) {
				found = f.program
			}
		}
	}
	return found
}

// begins tells whether a line begins as one outside any block does, or sets a name.
func (l *language) begins(line string) bool {
	words := strings.Fields(line)
	word := strings.TrimRight(words[0], "{")
	if strings.HasPrefix(word, "$") || strings.HasPrefix(word, "@") && !strings.HasPrefix(word, "@@") || strings.HasPrefix(word, "include") {
		return true
	}
	e := l.root.lookup(word)
	return e != nil && !strings.HasPrefix(line, " ") && !(len(words) > 1 && strings.ContainsAny(words[1][:1], "=:"))
}

// prefixed tells what stands before every line of a text that was copied out of something
// else: a patch, a mail, or a listing with numbers.
func prefixed(content string) string {
	sign, n := byte(0), 0
	for ; n < maxForeign && content != ""; n++ {
		var line string
		line, content, _ = strings.Cut(content, "\n")
		if line = strings.TrimLeft(line[:min(len(line), maxForeignLine)], " \t\r"); line == "" {
			continue
		}
		c := line[0]
		if c >= '0' && c <= '9' {
			number, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
			if strings.TrimRight(number, ":.|)") != strconv.Itoa(n+1) {
				return ""
			}
			c = '1'
		}
		if sign == 0 {
			sign = c
		}
		if c != sign || !strings.ContainsRune("1+->|", rune(c)) {
			return ""
		}
	}
	switch {
	case n < 3 || sign == 0:
		return ""
	case sign == '1':
		return "a listing with a number before each line"
	}
	return "a copy with " + string(sign) + " before each line"
}
