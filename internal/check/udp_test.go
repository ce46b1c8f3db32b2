package check_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/check"
	"weir/internal/netlnk/nstest"
)

// udpOf is UDP_CHECK as a configuration has it, of port 53 of a server.
func udpOf(t *testing.T, server, words string) check.UDP {
	t.Helper()
	c := checkOf(t, conf.CheckUDP, server+" 53", "connect_timeout 1\n"+words)
	return c.(check.UDP)
}

// checkOf is a check of a real server, as the words of its block configure it.
func checkOf(t *testing.T, kind conf.CheckKind, server, words string) check.Checker {
	t.Helper()
	text := fmt.Sprintf("virtual_server group G {\nprotocol TCP\nlb_kind TUN\nreal_server %s {\n%s {\n%s\n}\n}\n}\nvirtual_server_group G {\nfwmark 1\n}\n", server, kind, words)
	cfg, diagnostics := conf.Parse("k.conf", []byte(text))
	if cfg == nil {
		t.Fatalf("%v\n%s", diagnostics.All(), text)
	}
	row, ok := check.RowOf(kind)
	if !ok {
		t.Fatalf("%s has no row", kind)
	}
	return row.Poll(cfg.VirtualServers[0].RealServers[0].Checks[0], &check.Shared{})
}

// named is a name server of the server of a pair, BIND, which serves a zone of its own.
func (p pair) named(t *testing.T) *program {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "named.conf", `options { directory "`+dir+`"; pid-file none; listen-on { any; }; listen-on-v6 { any; }; recursion no; allow-query { any; }; dnssec-validation no; };
controls { };
zone "example.org" { type primary; file "zone"; };
`)
	write(t, dir, "zone", `$TTL 60
@ SOA ns hostmaster 1 60 60 60 60
@ NS ns
@ MX 10 ns
@ TXT "text"
ns A 192.0.2.1
ns AAAA 2001:db8::1
www CNAME ns
`)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return p.serve(t, "named", "-g", "-c", filepath.Join(dir, "named.conf"))
}

// A query for the SOA of example.org: identifier 1234, one question.
const soaQuery = "1234 0000 0001 0000 0000 0000 07 6578616d706c65 03 6f7267 00 0006 0001"

// zoneAnswers waits until the name server has read its zone: before, it refuses in a few bytes.
func (p pair) zoneAnswers(t *testing.T, server string) {
	t.Helper()
	p.director.Do(func() {
		nstest.WaitFor(t, "the name server's zone", func() bool {
			_, err := udpOf(t, server, "payload "+soaQuery+"\nrequire_reply\nmin_reply_length 100").Check(t.Context())
			return err == nil
		})
	})
}

// A name server that answers, stops, and starts again; and one whose machine loses every
// packet, which only require_reply notices.
func TestUDP(t *testing.T) {
	for _, server := range []string{serverIP, serverIP6} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			named := p.named(t)
			p.zoneAnswers(t, server)
			plain := p.watch(t, udpOf(t, server, "payload "+soaQuery))
			strict := p.watch(t, udpOf(t, server, "payload "+soaQuery+"\nrequire_reply 1234 8X XX 0001 0001\nmin_reply_length 30\nmax_reply_length 512"))
			plain.up()
			strict.up()
			stop := func() { named.stop() }
			plain.change(stop)
			strict.changed = plain.changed
			plain.down("connection refused")
			strict.down("connection refused")
			named.start()
			plain.up()
			strict.up()
			strict.change(func() { p.server.IP("link", "set", "ens160", "down") })
			strict.down("")
		})
	}
}

// What the answer has to be like, against a name server's answers.
func TestUDPReply(t *testing.T) {
	p := newPair(t)
	p.named(t)
	p.zoneAnswers(t, serverIP)
	for _, tt := range []struct{ name, words, want string }{
		{"any answer", "require_reply", ""},
		{"any answer, however long", "require_reply\nmin_reply_length 20", ""},
		{"too short", "require_reply\nmin_reply_length 200", "the answer has 137 bytes, fewer than 200"},
		{"too long", "require_reply\nmax_reply_length 20", "the answer has more than 20 bytes"},
		{"the identifier", "require_reply 1234", ""},
		{"another identifier", "require_reply 1235", "byte 1 of the answer is 34, not as require_reply has it"},
		{"half of a byte", "require_reply 1X x4", ""},
		{"the other half of a byte", "require_reply 1X x5", "byte 1 of the answer is 34, not as require_reply has it"},
	} {
		p.director.Do(func() {
			c := udpOf(t, serverIP, "payload "+soaQuery+"\n"+tt.words)
			c.Timeout = time.Minute
			_, err := c.Check(t.Context())
			if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

func TestUDPPattern(t *testing.T) {
	u := udpOf(t, "192.0.2.2", "payload 0A 1 ff\nrequire_reply X1 2x 03")
	if got := hex.EncodeToString(u.Payload); got != "0a01ff" {
		t.Errorf("payload %s, want 0a01ff", got)
	}
	if got := fmt.Sprintf("%x %x", u.Reply.Pattern, u.Reply.Any); got != "012003 f00f00" {
		t.Errorf("pattern and mask %s, want 012003 f00f00", got)
	}
	u = udpOf(t, "192.0.2.2", "")
	if want := netip.MustParseAddrPort("192.0.2.2:53"); len(u.Payload) != 32 || u.Reply != nil || u.Target != want {
		t.Errorf("without words: %+v", u)
	}
}
