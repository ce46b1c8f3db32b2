package check

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/conf"
)

// conf refuses to run exactly the kinds of checks that have no row.
func TestRowsAreWhatWeirCanRun(t *testing.T) {
	for _, kind := range []conf.CheckKind{
		conf.CheckTCP, conf.CheckHTTP, conf.CheckSSL, conf.CheckSMTP, conf.CheckDNS,
		conf.CheckMisc, conf.CheckPing, conf.CheckUDP, conf.CheckBFD, conf.CheckFile,
	} {
		text := fmt.Sprintf("virtual_server 192.0.2.1 80 {\n real_server 192.0.2.2 80 {\n  %s {\n  }\n }\n}\n", kind)
		_, diagnostics := conf.Parse("k.conf", []byte(text))
		refused := false
		for _, d := range diagnostics.All() {
			refused = refused || strings.HasPrefix(d.Message, string(kind)+" is accepted, but weir cannot do it yet")
		}
		row, ok := RowOf(kind)
		if ok == refused {
			t.Errorf("%s has a row: %v; conf refuses to run it: %v", kind, ok, refused)
		}
		if ok && (row.Poll == nil) == (row.Follow == nil) {
			t.Errorf("%s has to have either Poll or Follow", kind)
		}
	}
}

func TestTCPRow(t *testing.T) {
	target := netip.MustParseAddrPort("192.0.2.2:80")
	row, _ := RowOf(conf.CheckTCP)
	got := row.Poll(conf.Check{
		Kind: conf.CheckTCP, Connect: target, Bind: netip.MustParseAddr("192.0.2.9"),
		BindPort: 1024, BindIf: "eth1", Mark: 7,
		Timers: conf.Timers{ConnectTimeout: 3 * time.Second},
	}, nil)
	want := TCP{Endpoint{
		Target: target, Bind: netip.MustParseAddrPort("192.0.2.9:1024"), Device: "eth1", Mark: 7, Timeout: 3 * time.Second,
	}}
	if tcp, ok := got.(*TCP); !ok || *tcp != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A check is called the same before it runs and while it does.
func TestTitle(t *testing.T) {
	for _, row := range rows {
		needs := ""
		if row.Kind.IsOwn() {
			at := netip.MustParseAddrPort("192.0.2.2:80")
			c := conf.Check{Kind: row.Kind, Connect: netip.MustParseAddrPort("192.0.2.1:80"), Via: &conf.ViaVIP{Server: at}, Agent: &conf.AgentQuestion{}}
			if got, want := Title(c), row.Poll(c, nil).String(); got != want {
				t.Errorf("Title is %q, the checker's String %q", got, want)
			}
			continue
		}
		if row.Kind == conf.CheckHTTP || row.Kind == conf.CheckSSL {
			needs = "url {\npath /\n}"
		}
		if row.Kind == conf.CheckMisc {
			needs = `misc_path "/bin/true 'a b'"`
		}
		if row.Kind == conf.CheckFile {
			needs = "track_file F"
		}
		if row.Kind == conf.CheckBFD {
			needs = "name B"
		}
		text := fmt.Sprintf("track_file F {\nfile F\n}\nbfd_instance B {\nneighbor_ip 192.0.2.3\n}\nvirtual_server 192.0.2.1 80 {\n real_server 192.0.2.2 80 {\n  %s {\n%s\n  }\n }\n}\n", row.Kind, needs)
		cfg, diagnostics := conf.Parse("k.conf", []byte(text))
		if cfg == nil {
			t.Fatal(diagnostics.All())
		}
		c := cfg.VirtualServers[0].RealServers[0].Checks[0]
		var made fmt.Stringer
		if row.Poll != nil {
			made = row.Poll(c, nil)
		} else {
			made = row.Follow(c, &Shared{})
		}
		if got, want := Title(c), made.String(); got != want {
			t.Errorf("Title is %q, the checker's String %q", got, want)
		}
	}
}

func TestTimingOf(t *testing.T) {
	got := TimingOf(conf.Timers{DelayLoop: 6, Retry: 3, DelayBeforeRetry: 2, Warmup: 4, Alpha: true, ConnectTimeout: 5})
	if want := (Timing{DelayLoop: 6, Retry: 3, DelayBeforeRetry: 2, Warmup: 4, Alpha: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
