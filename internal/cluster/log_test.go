package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

// written gives a stream whose lines go to a text log without their time.
func written() (*Stream, *bytes.Buffer) {
	var out bytes.Buffer
	return NewStream(Log(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))), &out
}

// A record of an engine's logger becomes an event, and its line stays what it was.
func TestRecordsBecomeEvents(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  func(*slog.Logger)
		line string
		want Event
	}{
		{"a state", func(l *slog.Logger) {
			l.With("instance", "VI_1").Info("vrrp state changed", "from", "BACKUP", "to", "MASTER", "why", "no advert heard")
		}, `level=INFO msg="vrrp state changed" instance=VI_1 from=BACKUP to=MASTER why="no advert heard"`,
			Event{Kind: VRRPState, Instance: "VI_1", From: "backup", To: "master", Reason: "no advert heard"}},
		{"a device", func(l *slog.Logger) { l.Info("data plane attached", "device", "ens160", "hook", "tc", "why", "so") },
			`level=INFO msg="data plane attached" device=ens160 hook=tc why=so`,
			Event{Kind: DeviceAttached, Device: "ens160", To: "tc", Reason: "so"}},
		{"groups", func(l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("").Error("unheard of", "error", errors.New("no"), "for", time.Second)
		}, `level=ERROR msg="unheard of" a=1 g.b=2 g.error=no g.for=1s`, Event{Kind: Report, Level: slog.LevelError}},
		{"an error", func(l *slog.Logger) { l.Warn("vrrp advert not sent", "error", "network is down") },
			`level=WARN msg="vrrp advert not sent" error="network is down"`,
			Event{Kind: AdvertNotSent, Level: slog.LevelWarn, Reason: "network is down"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, out := written()
			tt.log(s.Logger())
			s.Logger().Debug("not told")
			if got := out.String(); got != tt.line+"\n" {
				t.Errorf("line %q, want %q", got, tt.line)
			}
			e, _, err := s.Subscribe(0).Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := Event{Kind: e.Kind, Level: e.Level, Instance: e.Instance, Device: e.Device, From: e.From, To: e.To, Reason: e.Reason}
			if g, w := asJSON(t, got), asJSON(t, tt.want); g != w {
				t.Errorf("event %s, want %s", g, w)
			}
		})
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The director's events have the lines that scripts look for.
func TestLinesOfEvents(t *testing.T) {
	s, out := written()
	server, vip := netip.MustParseAddrPort("192.0.2.11:80"), netip.MustParsePrefix("192.0.2.100/32")
	for _, e := range []Event{
		DirectorStarted(2, 1),
		ServerDown("TCP 192.0.2.100:80", server, errors.New("connection refused"), 2),
		ServerUp("TCP 192.0.2.100:80", server),
		DirectorHeard("VI_1", server.Addr(), []byte{2, 0, 0, 0, 0, 1}),
		MasterResumed("VI_1"),
		LocalServerSet([]netip.Addr{vip.Addr()}),
		LocalTunnelServerSet([]netip.Addr{vip.Addr()}),
		PlaneSetFailed(errors.New("no room")),
		PutBackFailed(errors.New("no room")),
		VIPAddFailed("VI_1", vip, "eth0", errors.New("no device")),
		VIPsAddFailed("VI_1", errors.New("no device")),
		VIPsRemoveFailed("VI_1", errors.New("no device")),
		VIPAnnounceFailed("VI_1", vip.Addr(), errors.New("no device")),
		LeaseRenewFailed("VI_1", errors.New("no lease")),
		LeaseReleaseFailed("VI_1", errors.New("no lease")),
	} {
		s.Publish(e)
	}
	const want = `level=INFO msg=started virtual_servers=2 vrrp_instances=1
level=WARN msg="real server" virtual_server="TCP 192.0.2.100:80" real_server=192.0.2.11:80 state=down reason="connection refused" tries=2
level=INFO msg="real server" virtual_server="TCP 192.0.2.100:80" real_server=192.0.2.11:80 state=up
level=INFO msg="another director" instance=VI_1 peer=192.0.2.11 mac=02:00:00:00:00:01
level=INFO msg="lease still runs, going on as master" instance=VI_1
level=INFO msg="this machine is a real server" vips=[192.0.2.100]
level=INFO msg="this machine is a real server behind a tunnel" vips=[192.0.2.100]
level=ERROR msg="set the data plane" error="no room"
level=ERROR msg="put back what a reload had begun" error="no room"
level=ERROR msg="add VIP" instance=VI_1 vip=192.0.2.100/32 device=eth0 error="no device"
level=ERROR msg="add VIPs" instance=VI_1 error="no device"
level=ERROR msg="remove VIPs" instance=VI_1 error="no device"
level=WARN msg="announce VIP" instance=VI_1 vip=192.0.2.100 error="no device"
level=ERROR msg="renew the lease" instance=VI_1 error="no lease"
level=ERROR msg="release the lease" instance=VI_1 error="no lease"
`
	if got := out.String(); got != want {
		t.Errorf("lines\n%s\nwant\n%s", got, want)
	}
}

// Values without a JSON form of their own are written as text.
func TestDetailsAsJSON(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  string
	}{
		{errors.New("no"), `{"name":"n","value":"no"}`},
		{1500 * time.Millisecond, `{"name":"n","value":"1.5s"}`},
		{int64(7), `{"name":"n","value":7}`},
		{netip.MustParseAddr("192.0.2.1"), `{"name":"n","value":"192.0.2.1"}`},
		{[]slog.Attr{slog.Any("error", errors.New("no"))}, `{"name":"n","value":{"error":"no"}}`},
	} {
		if got := asJSON(t, Detail{"n", tt.value}); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
