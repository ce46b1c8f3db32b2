package cluster

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/lvs"
)

var update = flag.Bool("update", false, "write testdata/log.golden anew")

// An example is one event: what is published, nil where an engine logs it, and the
// call that writes the same line to a plain log. Scripts look for these lines.
type example struct {
	kind  Kind
	event *Event
	line  func(*slog.Logger)
}

// examples are an event of every kind, in the order of kinds.go.
func examples() []example {
	const service = "TCP 192.0.2.100:80"
	server, vip := netip.MustParseAddrPort("192.0.2.11:80"), netip.MustParsePrefix("192.0.2.100/32")
	mac, vips := net.HardwareAddr{2, 0, 0, 0, 0, 1}, []netip.Addr{vip.Addr()}
	no := errors.New("no such device")
	typed := func(e Event, line func(*slog.Logger)) example { return example{e.Kind, &e, line} }
	engine := func(kind Kind, line func(*slog.Logger)) example { return example{kind, nil, line} }
	log := func(level slog.Level, message string, args ...any) func(*slog.Logger) {
		return func(l *slog.Logger) { l.Log(context.Background(), level, message, args...) }
	}
	info := func(message string, args ...any) func(*slog.Logger) { return log(slog.LevelInfo, message, args...) }
	warn := func(message string, args ...any) func(*slog.Logger) { return log(slog.LevelWarn, message, args...) }
	fail := func(message string, args ...any) func(*slog.Logger) { return log(slog.LevelError, message, args...) }
	return []example{
		typed(DirectorStarted(2, 1), info("started", "virtual_servers", 2, "vrrp_instances", 1)),
		typed(ServerUp(service, server), info("real server", "virtual_server", service, "real_server", "192.0.2.11:80", "state", "up")),
		typed(ServerDown(service, server, no, 4), warn("real server", "virtual_server", service, "real_server", "192.0.2.11:80",
			"state", "down", "reason", no.Error(), "tries", 4)),
		typed(ServerWeight(service, server, 3, 7, ""), info("weight of a real server", "virtual_server", service, "real_server", "192.0.2.11:80", "from", 3, "to", 7)),
		typed(CheckTurned(service, server, "TCP_CHECK", no), warn("check of a real server", "virtual_server", service, "real_server", "192.0.2.11:80",
			"check", "TCP_CHECK", "state", "down", "reason", no.Error())),
		typed(FirstFailed(service, server, "TCP_CHECK", no), warn("first check failed", "virtual_server", service, "real_server", "192.0.2.11:80",
			"check", "TCP_CHECK", "state", "down", "reason", no.Error())),
		typed(AgentSays(service, server, "maxconn:30", "no answer within 2s"), warn("agent of a real server", "virtual_server", service, "real_server", "192.0.2.11:80",
			"says", "maxconn:30", "amiss", "no answer within 2s")),
		typed(ServerAnswers(service, server), info("real server answers the probe", "virtual_server", service, "real_server", "192.0.2.11:80")),
		typed(ServerSilent(service, server, 3), warn("real server answers no new connections, it is probed", "virtual_server", service, "real_server", "192.0.2.11:80", "connections", 3)),
		typed(PeerLost("VI_1", server.Addr(), 2), warn("the master is lost, its real servers are probed", "instance", "VI_1", "peer", server.Addr(), "real_servers", 2)),
		typed(QuorumChanged(service, true, 3, 2), info("quorum gained", "virtual_server", service, "weight", 3, "bound", 2)),
		typed(QuorumChanged(service, false, 0, 1), warn("quorum lost", "virtual_server", service, "weight", 0, "bound", 1)),
		typed(SpareTierTurned(service, 1, true, 2), info("spare real servers", "virtual_server", service, "tier", 1, "fewer_than", 2, "state", "serving")),
		typed(ChecksFailHere("TCP_CHECK 192.0.2.11:80", no, "give it one"), fail("checks cannot be made: the trouble is this machine's, and no real server is taken out for it",
			"check", "TCP_CHECK 192.0.2.11:80", "reason", no.Error(), "remedy", "give it one")),
		typed(ChecksGoOn(no.Error(), 3), info("checks are made again", "reason", no.Error(), "checks", 3)),
		typed(DirectorHeard("VI_1", server.Addr(), mac), info("another director", "instance", "VI_1", "peer", server.Addr(), "mac", mac.String())),
		typed(MasterResumed("VI_1"), info("lease still runs, going on as master", "instance", "VI_1")),
		typed(MasterHeldUp("VI_1", 5*time.Second), warn("this process was held up, the mastership is given up", "instance", "VI_1", "for", 5*time.Second)),
		typed(LocalServerSet(vips), info("this machine is a real server", "vips", vips)),
		typed(LocalTunnelServerSet(vips), info("this machine is a real server behind a tunnel", "vips", vips)),
		typed(PlaneSetFailed(no), fail("set the data plane", "error", no)),
		typed(PutBackFailed(no), fail("put back what a reload had begun", "error", no)),
		typed(VIPAddFailed("VI_1", vip, "eth0", no), fail("add VIP", "instance", "VI_1", "vip", vip, "device", "eth0", "error", no)),
		typed(VIPsAddFailed("VI_1", no), fail("add VIPs", "instance", "VI_1", "error", no)),
		typed(VIPsRemoveFailed("VI_1", no), fail("remove VIPs", "instance", "VI_1", "error", no)),
		typed(VIPAnnounceFailed("VI_1", vip.Addr(), no), warn("announce VIP", "instance", "VI_1", "vip", vip.Addr(), "error", no)),
		typed(OldVIPRemoved(vip, "eth0"), info("removed a VIP that an earlier process left", "vip", vip, "device", "eth0")),
		typed(UnknownVRID("eth0", 77, server.Addr()), info("vrrp advert of an unknown virtual router", "interface", "eth0", "vrid", 77, "source", server.Addr())),
		typed(LeaseRenewFailed("VI_1", no), fail("renew the lease", "instance", "VI_1", "error", no)),
		typed(LeaseReleaseFailed("VI_1", no), fail("release the lease", "instance", "VI_1", "error", no)),
		typed(SourceChanged("VI_1", "eth0", vip.Addr(), server.Addr()), info("vrrp adverts come from another address", "instance", "VI_1",
			"interface", "eth0", "from", vip.Addr(), "to", server.Addr())),
		typed(SurroundingsChanged([]string{"eth1", "eth2"}, []string{"eth3"}), info("this machine's surroundings have changed", "new", "eth1, eth2", "gone", "eth3")),
		typed(NotFollowed(no), fail("follow this machine's surroundings, trying on", "error", no)),
		typed(RuleSet("deny", lvs.AccessRule{Network: vip, Protocol: lvs.TCP, Port: 80}, time.Minute), info("rule about clients added",
			"rule", "deny", "clients", vip, "protocol", lvs.TCP, "port", uint16(80), "for", time.Minute)),
		typed(RuleTakenBack("deny", lvs.AccessRule{Network: vip}), info("rule about clients removed", "rule", "deny", "clients", vip)),
		typed(FirewallPassedOver([]string{"inet filter input"}), warn("the firewall is not asked about packets to services: the data plane comes before it",
			"chains", "inet filter input", "all", 1, "remedy", "weir { deny NETWORK } and weir deny NETWORK")),
		typed(OtherVRRPFound([]string{"process 12 (keepalived)"}), warn("another program of this machine speaks VRRP: its virtual routers have to be others than weir's",
			"programs", "process 12 (keepalived)")),
		typed(OtherMasterHere("VI_1", lvs.InstanceID{Interface: "eth0", VRID: 51}, []string{"process 12 (keepalived)"}),
			warn("another program of this machine advertises the virtual router of an instance: end it, or give one of the two another VRID",
				"instance", "VI_1", "virtual_router", lvs.InstanceID{Interface: "eth0", VRID: 51}, "programs", "process 12 (keepalived)")),

		engine(VRRPState, info("vrrp state changed", "instance", "VI_1", "from", "BACKUP", "to", "MASTER", "why", "no advert heard")),
		engine(AdvertNotSent, warn("vrrp advert not sent", "instance", "VI_1", "error", "network is down")),
		engine(AdvertSentAgain, info("vrrp adverts are sent again", "instance", "VI_1")),
		engine(PeerNotSentTo, warn("vrrp unicast peer not sent to", "interface", "eth0", "peer", "192.0.2.2", "error", "network is down")),
		engine(PeerSentToAgain, info("vrrp unicast peer is sent to again", "interface", "eth0", "peer", "192.0.2.2")),
		engine(PriorityChanged, info("vrrp priority changed", "instance", "VI_1", "from", 100, "to", 80)),
		engine(LowerMaster, warn("vrrp advert of a lower master", "instance", "VI_1", "source", "192.0.2.2", "priority", 90)),
		engine(LowerMasterGone, info("vrrp lower master is heard no more", "instance", "VI_1", "source", "192.0.2.2", "times", 3, "after", 2*time.Second)),
		engine(TimerLate, warn("vrrp timer ran late, listening again", "instance", "VI_1", "late", 1500*time.Millisecond)),
		engine(AdvertDropped, warn("vrrp packet dropped", "instance", "VI_1", "source", "192.0.2.2", "why", "wrong password")),
		engine(FirstCheckPassed, info("first check passed", "check", "TCP_CHECK 192.0.2.11:80")),
		engine(DeviceAttached, info("data plane attached", "device", "eth0", "hook", "tc", "why", "the file says so")),
		engine(TablesBegunAnew, warn("pinned tables do not fit, starting with empty ones", "pins", "/sys/fs/bpf/weir", "error", no)),
		engine(DriftRepaired, warn("drift repaired", "kind", "vip_addresses", "thing", "192.0.2.100/32", "after", 2*time.Second)),
		engine(DriftNotRepaired, fail("drift cannot be repaired, trying on", "kind", "pins", "thing", "conns", "error", no)),
		engine(DriftComesAgain, warn("drift comes again: another program may be changing what weir sets", "kind", "pins", "thing", "conns")),
		engine(DriftNotTold, warn("more drifts of a kind than are told one by one", "kind", "services", "more", 7)),
		engine(DriftGone, info("drift is gone", "kind", "pins", "thing", "conns", "after", 2*time.Second)),
		engine(DriftComesNoMore, info("drift comes no more", "kind", "pins", "thing", "conns", "times", 3)),
		engine(Report, fail("write next hop", "real_server", server.Addr(), "error", no)),

		typed(ReloadDone("/etc/new.conf", 1, 0, 12, 1500*time.Millisecond, time.Second), info("reloaded", "file", "/etc/new.conf", "services", 1,
			"vrrp_instances", 0, "connections_touched", 12, "took", "1.5s", "of_it_reading", "1s")),
		typed(ReloadFailed("/etc/new.conf", "no room"), fail("reload refused, everything is as it was", "file", "/etc/new.conf", "error", "no room")),
		typed(RestartNeeded("tables services", "4096", "8192"), warn("takes a restart", "setting", "tables services", "from", "4096", "to", "8192")),
		typed(MistakeFound("/etc/new.conf", 31, 5, "unknown keyword", "write weight"), fail("mistake in the configuration",
			"file", "/etc/new.conf", "line", 31, "column", 5, "what", "unknown keyword", "hint", "write weight")),
		typed(PanicCaught(&Panic{"POST /v1/plan", "index out of range", "reload.go:12", "goroutine 7"}), fail("a mistake in weir was caught: everything else goes on; please report it",
			"doing", "POST /v1/plan", "panic", "index out of range", "at", "reload.go:12", "stack", "goroutine 7")),
		typed(DirectorStopped(), info("stopped")),
	}
}

// forms are the two of --log, without the time.
var forms = []func(*bytes.Buffer) slog.Handler{
	func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, timeless) },
	func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, timeless) },
}

var timeless = &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return a
}}

// The log is made from events, and its lines are those of a plain log: the messages
// and attributes that scripts look for do not change unseen.
func TestLogIsMadeFromEvents(t *testing.T) {
	var golden bytes.Buffer
	for _, x := range examples() {
		for _, form := range forms {
			var plain, lines bytes.Buffer
			x.line(slog.New(form(&plain)))
			s := NewStream(Log(form(&lines)))
			if x.event != nil {
				s.Publish(*x.event)
			} else {
				x.line(s.Logger())
			}
			if plain.String() != lines.String() {
				t.Errorf("%s: the event's line is %swant %s", x.kind, &lines, &plain)
			}
			e, _, ok := s.Subscribe(0).Held()
			if !ok || e.Kind != x.kind {
				t.Errorf("%s: the event is of the kind %q", x.kind, e.Kind)
			}
			golden.Write(lines.Bytes())
		}
	}
	const file = "testdata/log.golden"
	if *update {
		if err := os.WriteFile(file, golden.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if golden.String() != string(want) {
		t.Errorf("the log is\n%swant\n%s", &golden, want)
	}
}

// declared are the kinds that kinds.go declares, in its order.
func declared(t *testing.T) (kinds []Kind) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Kind" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, Kind(text))
		}
		return false
	})
	return kinds
}

// Every kind has an example, and a row in the table of docs/api.md; and so has every
// message that an engine logs.
func TestEveryKindIsListed(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	list, kinds := examples(), declared(t)
	rows := strings.Count(string(doc), "\n| `") - strings.Count(string(doc), "\n| `/v1")
	if len(list) != len(kinds) || rows != len(kinds) {
		t.Errorf("%d examples and %d rows in docs/api.md of %d kinds", len(list), rows, len(kinds))
	}
	for i, kind := range kinds {
		if i >= len(list) || list[i].kind != kind {
			t.Errorf("%s: no example at its place", kind)
			continue
		}
		e := list[i].event
		if e == nil {
			e = logged(list[i].line)
		}
		if row := "| `" + string(kind) + "` | `" + e.Message + "` |"; kind != Report && !strings.Contains(string(doc), row) {
			t.Errorf("docs/api.md has no row %s", row)
		} else if kind == Report && !strings.Contains(string(doc), "| `report` | any other |") {
			t.Error("docs/api.md has no row of report")
		}
	}
	for message, row := range byMessage {
		if !strings.Contains(string(doc), "| `"+string(row.kind)+"` | `"+message+"` |") {
			t.Errorf("docs/api.md does not list %q as %s", message, row.kind)
		}
	}
}

// logged is the event of a line that an engine logs.
func logged(line func(*slog.Logger)) *Event {
	s := NewStream(func(Event) {})
	line(s.Logger())
	e, _, _ := s.Subscribe(0).Held()
	return &e
}

// docs/api.md names every field of a snapshot and of an event.
func TestEveryFieldIsListed(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"snapshot.go", "event.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			_, tag, _ := strings.Cut(field.Tag.Value, `json:"`)
			if key, _, _ := strings.Cut(strings.TrimRight(tag, "\"`"), ","); !strings.Contains(string(doc), "`"+key+"`") {
				t.Errorf("docs/api.md does not name the field %s of %s", key, name)
			}
			return true
		})
	}
}

// An engine that logs another message than before has an event without a kind of its
// own: each message of byMessage stands in an engine.
func TestMessagesStandInTheEngines(t *testing.T) {
	var source strings.Builder
	for _, room := range []string{"../../vrrp", "../check", "../dataplane", "../drift"} {
		err := filepath.WalkDir(room, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for message, row := range byMessage {
		if !strings.Contains(source.String(), strconv.Quote(message)) {
			t.Errorf("no engine logs %q, which is %s", message, row.kind)
		}
	}
}
