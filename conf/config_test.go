package conf

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weir/conf/text"
	"weir/lvs"
)

// TestSeed holds the seed's two files to their golden Configs, and to the
// warnings for what is obsolete in them.
func TestSeed(t *testing.T) {
	for _, name := range []string{"master", "backup"} {
		t.Run(name, func(t *testing.T) {
			cfg, diags := Options{Linter: TestLinter}.Load("../examples/seed/" + name + ".conf")
			if cfg == nil {
				t.Fatalf("%v", diags.All())
			}
			var warnings []string
			for _, d := range diags.All() {
				warnings = append(warnings, d.Code+": "+d.Message)
			}
			want := []string{
				"obsolete: nat_mask has no effect",
				"obsolete: persistence_timeout 0 means that persistence is off",
				"obsolete: nb_get_retry in TCP_CHECK is read as retry",
				"obsolete: nb_get_retry in TCP_CHECK is read as retry",
			}
			if diff := cmp.Diff(want, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			golden(t, "testdata/seed-"+name+".json", cfg)
		})
	}
}

func golden(t *testing.T, name string, cfg *Config) {
	t.Helper()
	got, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
}

// An instance and a service with only what they cannot do without.
const (
	bareInstance = "vrrp_instance V {\ninterface e0\nvirtual_router_id 7\nvirtual_ipaddress {\n10.0.0.1\n}\n"
	bareService  = "virtual_server 10.0.0.1 80 {\nlb_algo rr\nlb_kind DR\nprotocol TCP\n"
)

// TestInstance reads further lines of a vrrp_instance.
func TestInstance(t *testing.T) {
	bare := VRRPInstance{
		Name: "V", State: Backup, Interface: "e0", VRID: 7, Priority: 100, AdvertInterval: time.Second, Version: 2,
		Auth: Auth{Type: AuthNone}, VIPs: []VIP{{Prefix: netip.MustParsePrefix("10.0.0.1/32"), Device: "e0"}},
		GARP:    GARP{GARPDelay: 5 * time.Second, GARPRepeat: 5, GARPRefreshRepeat: 1, GARPLowerDelay: 5 * time.Second, GARPLowerRepeat: 5},
		GroupIP: netip.MustParseAddr("224.0.0.18"), Unicast: Unicast{UnicastTTL: 255}, DownTimerAdverts: 3, Accept: true,
	}
	tests := []struct {
		name, in string
		want     func(*VRRPInstance)
		warning  string
	}{
		{"defaults", "", func(*VRRPInstance) {}, ""},
		{"state MASTER alone is the owner", "state MASTER", func(v *VRRPInstance) { v.State, v.Priority = Master, 255 }, ""},
		{"priority 255 alone is the owner", "priority 255", func(v *VRRPInstance) { v.State, v.Priority = Master, 255 }, ""},
		{"state and priority", "state BACKUP\npriority 90\nadvert_int 3\nversion 2", func(v *VRRPInstance) {
			v.Priority, v.AdvertInterval = 90, 3*time.Second
		}, ""},
		{"unicast", "unicast_src_ip 10.0.0.2\nunicast_peer {\n10.0.0.3\n10.0.0.4\n}", func(v *VRRPInstance) {
			v.SourceIP = netip.MustParseAddr("10.0.0.2")
			v.Peers = []Peer{{Addr: netip.MustParseAddr("10.0.0.3"), MaxTTL: 255}, {Addr: netip.MustParseAddr("10.0.0.4"), MaxTTL: 255}}
		}, ""},
		{"source of multicast", "mcast_src_ip 10.0.0.2", func(v *VRRPInstance) { v.SourceIP = netip.MustParseAddr("10.0.0.2") }, ""},
		{"preemption put off", "preempt_delay 1.5", func(v *VRRPInstance) { v.PreemptDelay = 1500 * time.Millisecond }, ""},
		{"no preemption", "nopreempt", func(v *VRRPInstance) { v.NoPreempt = true }, ""},
		{"no preemption by the master", "nopreempt\nstate MASTER\npriority 9", func(v *VRRPInstance) { v.State, v.Priority = Master, 9 }, "preempt"},
		{"gratuitous ARP", "garp_master_delay 0\ngarp_master_repeat 0", func(v *VRRPInstance) { v.GARPDelay, v.GARPRepeat = 0, 1 }, "raised"},
		{"addresses on other devices", "virtual_ipaddress {\n10.0.1.1/24 dev e1\n}", func(v *VRRPInstance) {
			v.VIPs = append(v.VIPs, VIP{Prefix: netip.MustParsePrefix("10.0.1.1/24"), Device: "e1"})
		}, ""},
		{"password", "authentication\n{\n auth_type PASS\n auth_pass \"a b\"\n}", func(v *VRRPInstance) { v.Auth = Auth{AuthPass, "a b"} }, ""},
		{"long password", "authentication { auth_type PASS\nauth_pass 0123456789 }", func(v *VRRPInstance) { v.Auth = Auth{AuthPass, "01234567"} }, "password-cut"},
		{"the last of two counts", "priority 3\npriority 4", func(v *VRRPInstance) { v.Priority = 4 }, "given-twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := bare
			tt.want(&want)
			cfg := parseWith(t, bareInstance+tt.in+"\n}\n", tt.warning)
			if diff := cmp.Diff([]VRRPInstance{want}, cfg.VRRPInstances, comparers...); diff != "" {
				t.Errorf("instances (-want +got):\n%s", diff)
			}
		})
	}
}

// comparers compare Configs by what they say, not where it was said.
var comparers = []cmp.Option{
	cmpopts.IgnoreTypes(given{}, text.Place{}), cmp.Comparer(samePrefix), cmp.Comparer(sameAddr), cmp.Comparer(sameAddrPort),
}

func samePrefix(a, b netip.Prefix) bool     { return a == b }
func sameAddr(a, b netip.Addr) bool         { return a == b }
func sameAddrPort(a, b netip.AddrPort) bool { return a == b }

// parseWith reads a text that gives just the warning of this code, or none.
func parseWith(t *testing.T, input, code string) *Config {
	t.Helper()
	cfg, diags := parseLinted("test.conf", []byte(input))
	var codes []string
	for _, d := range diags.All() {
		if d.Severity != text.Note {
			codes = append(codes, d.Code)
		}
	}
	if got := strings.Join(codes, " "); cfg == nil || got != code {
		t.Fatalf("diagnostics %q, want %q: %v", got, code, diags.All())
	}
	return cfg
}

// TestService reads further lines of a virtual_server.
func TestService(t *testing.T) {
	const s = time.Second
	server := func(addr string, weight int, checks ...Check) RealServer {
		return RealServer{Addr: netip.MustParseAddr(addr), Port: 80, Weight: weight, Method: lvs.DirectRoute, Checks: checks, SMTPAlert: true}
	}
	check := func(to string) Check {
		return Check{Kind: CheckTCP, Connect: netip.MustParseAddrPort(to), Timers: Timers{ConnectTimeout: 5 * s, Retry: 1, DelayBeforeRetry: s, DelayLoop: 60 * s, Warmup: 60 * s}}
	}
	changed := func(c Check, change func(*Check)) Check { change(&c); return c }
	tests := []struct {
		name, in string
		want     []RealServer
		warning  string
	}{
		{"no check", "real_server 10.0.0.2 80 {\n}", []RealServer{server("10.0.0.2", 1)}, ""},
		{"no port", "real_server 10.0.0.2 { weight 0 }", []RealServer{server("10.0.0.2", 0)}, "quorum-weight"},
		{"another port", "real_server 10.0.0.2 8080 { TCP_CHECK { } }", []RealServer{server("10.0.0.2", 1, check("10.0.0.2:8080"))}, "dr-port"},
		{"weight of all", "weight 5\nreal_server 10.0.0.2 80 {\n}\nreal_server 10.0.0.3 80 {\nweight 6\n}",
			[]RealServer{server("10.0.0.2", 5), server("10.0.0.3", 6)}, ""},
		{"check's defaults", "real_server 10.0.0.2 80 {\nTCP_CHECK{\n}\n}", []RealServer{server("10.0.0.2", 1, check("10.0.0.2:80"))}, ""},
		{"inheritance", "delay_loop 6\nretry 2\nconnect_timeout 0.25\nalpha\nreal_server 10.0.0.2 80 {\nretry 4\nwarmup 0\n" +
			"TCP_CHECK {\ndelay_before_retry 3\nalpha off\n}\nTCP_CHECK {\nretry 0\nconnect_ip 10.9.9.9\nconnect_port 81\nbindto 10.0.0.9\n}\n}",
			[]RealServer{server("10.0.0.2", 1,
				changed(check("10.0.0.2:80"), func(c *Check) {
					c.ConnectTimeout, c.Retry, c.DelayBeforeRetry, c.DelayLoop, c.Warmup = s/4, 4, 3*s, 6*s, 0
				}),
				changed(check("10.9.9.9:81"), func(c *Check) {
					c.ConnectTimeout, c.Retry, c.DelayLoop, c.Warmup, c.Alpha = s/4, 0, 6*s, 0, true
					c.Bind = netip.MustParseAddr("10.0.0.9")
				}))}, ""},
		{"warmup follows delay_loop", "delay_loop 6\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}",
			[]RealServer{server("10.0.0.2", 1, changed(check("10.0.0.2:80"), func(c *Check) { c.DelayLoop, c.Warmup = 6*s, 6*s }))}, ""},
		{"one server twice", "real_server 10.0.0.2 80 {\nweight 3\n}\nreal_server 10.0.0.2 80 {\n}", []RealServer{server("10.0.0.2", 3)}, "listed-twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parseWith(t, bareService+tt.in+"\n}\n", tt.warning)
			key := lvs.ServiceKey{Protocol: lvs.TCP, Addr: netip.MustParseAddr("10.0.0.1"), Port: 80}
			if diff := cmp.Diff([]lvs.ServiceKey{key}, cfg.VirtualServers[0].Keys, comparers...); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, cfg.VirtualServers[0].RealServers, append(comparers, cmpopts.IgnoreFields(RealServer{}, "Timers"))...); diff != "" {
				t.Errorf("servers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServiceWarnings(t *testing.T) {
	servers := "real_server 10.0.0.2 80 {\n}\n}\n"
	cfg := parseWith(t, "virtual_server 10.0.0.1 80 {\nlvs_sched wrr\nlvs_method DR\n"+servers, "protocol-default")
	if v := cfg.VirtualServers[0]; v.Protocol != lvs.UDP || v.Scheduler != lvs.WeightedRoundRobin || v.Method != lvs.DirectRoute {
		t.Errorf("got %v %v %v, want UDP wrr DR", v.Keys, v.Scheduler, v.Method)
	}
	if cfg := parseWith(t, bareService+"}\n", "no-real-server"); len(cfg.VirtualServers) != 0 {
		t.Errorf("a service without servers is there: %v", cfg.VirtualServers)
	}
	parseWith(t, "vrrp_instance V {\ninterface e0\nvirtual_router_id 7\n}\n", "no-vip")
}

func TestGlobalAndDevices(t *testing.T) {
	cfg := parseWith(t, `global_defs {
  notification_email {
    a@example.org "Bob <b@example.org>"
    c@example.org   # on call
  }
  smtp_connect_timeout 7
  router_id lb1
}
weir {
  device e0 { hook tc }
  device e1
  device e2 {
  }
}
`, "")
	want := Mail{NotificationEmail: []string{"a@example.org", "Bob <b@example.org>", "c@example.org"}, SMTPConnectTimeout: 7 * time.Second, RouterID: "lb1"}
	if diff := cmp.Diff(want, cfg.Global.Mail, comparers...); diff != "" {
		t.Errorf("Global (-want +got):\n%s", diff)
	}
	devices := []Device{{Name: "e0", Hook: lvs.HookTC}, {Name: "e1", Hook: lvs.HookAuto}, {Name: "e2", Hook: lvs.HookAuto}}
	if diff := cmp.Diff(devices, cfg.Weir.Devices, comparers...); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
}

// TestSpelling reads the same configuration in other spellings.
func TestSpelling(t *testing.T) {
	input := seedText(t)
	want, _ := parseLinted("seed.conf", []byte(input))
	tests := map[string]string{
		"CRLF":            strings.ReplaceAll(input, "\n", "\r\n"),
		"byte order mark": "\ufeff" + input,
		"glued braces":    strings.ReplaceAll(input, " {", "{"),
		"braces on lines": strings.ReplaceAll(strings.Replace(input, "# notification_email {", "#", 1), " {", "\n# a comment\n\n{"),
		"braces at ends":  strings.ReplaceAll(input, "connect_port 80\n        }", "connect_port 80 }"),
		"no last newline": strings.TrimSpace(input),
		"other comments":  strings.ReplaceAll(input, "#", "!"),
		"quotes":          strings.ReplaceAll(input, "ens160", `"ens160"`),
		"no indentation":  strings.ReplaceAll(input, "    ", ""),
	}
	for name, input := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, diags := parseLinted("seed.conf", []byte(input))
			warnings := 4
			if name == "byte order mark" {
				warnings++
			}
			if diags.Errors() > 0 || diags.Warnings() != warnings {
				t.Errorf("diagnostics: %v", diags.All())
			}
			if diff := cmp.Diff(want, cfg, comparers...); diff != "" {
				t.Errorf("Config (-want +got):\n%s", diff)
			}
		})
	}
}

// TestInclude reads files of a disk: sorted, relative to the including file,
// braces and all.
func TestInclude(t *testing.T) {
	dir := t.TempDir()
	write := func(name, input string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(input), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.conf", "include sites/*.conf\ninclude {x,y}.conf\ninclude gone.conf\n")
	write("sites/b.conf", strings.Replace(bareService, "80", "82", 1)+"include ../servers\n}\n")
	write("sites/a.conf", strings.Replace(bareService, "80", "81", 1)+"include ../servers\n}\n")
	write("y.conf", bareService+"include servers\n}\n")
	write("servers", "real_server 10.0.0.2 {\n}\n")
	cfg, diags := Options{Linter: TestLinter}.Load(filepath.Join(dir, "main.conf"))
	if cfg == nil || diags.Warnings() != 1 || diags.All()[0].Code != "include-missing" || diags.Files() != 7 {
		t.Fatalf("%d files, diagnostics %v", diags.Files(), diags.All())
	}
	var ports []uint16
	for _, v := range cfg.VirtualServers {
		ports = append(ports, v.Keys[0].Port)
	}
	if diff := cmp.Diff([]uint16{81, 82, 80}, ports); diff != "" {
		t.Errorf("ports in the order of reading (-want +got):\n%s", diff)
	}
}

// TestIncludeNoFile includes what is no file: nothing waits for a pipe.
func TestIncludeNoFile(t *testing.T) {
	for _, name := range []string{"/dev/null", "/"} {
		_, diags := parseLinted("test.conf", []byte("include "+name+"\n"))
		if diags.Errors() != 1 || !strings.Contains(diags.All()[0].Message, "cannot be read") {
			t.Errorf("include %s: %v", name, diags.All())
		}
	}
	cfg, diags := Options{Linter: TestLinter}.Load(filepath.Join(t.TempDir(), "gone.conf"))
	if cfg != nil || diags.Errors() != 1 || !strings.Contains(diags.All()[0].Message, "no such file") {
		t.Errorf("a missing file: %v", diags.All())
	}
}
