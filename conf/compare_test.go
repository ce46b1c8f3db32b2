package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"weir/conf/conftest"
)

// loadReload reads a text that has to be right.
func loadReload(t *testing.T, text string) *Config {
	t.Helper()
	cfg, diags := parseMemory(memory{"main.conf": text}, "main.conf")
	if cfg == nil {
		t.Fatalf("%v\n%s", diags.All(), text)
	}
	return cfg
}

// TestReloadForgetsNoKeyword changes the value of every keyword that has an effect, by
// the tables, and wants just that change.
func TestReloadForgetsNoKeyword(t *testing.T) {
	seen := map[*blockSpec]bool{}
	var visit func(s *blockSpec)
	visit = func(s *blockSpec) {
		if seen[s] {
			return
		}
		seen[s] = true
		for _, e := range s.entries {
			switch {
			case e.effect != 0:
			case e.inner == nil || e.inner.line != nil:
				t.Run(s.name+" "+e.name, func(t *testing.T) { wantChange(t, s.name, e) })
			case e.inner.acts():
				t.Run(s.name+" "+e.name, func(t *testing.T) { wantBlock(t, s.name, e) })
				visit(e.inner)
			}
		}
	}
	visit(keepalived().root)
}

func wantChange(t *testing.T, block string, e *entry) {
	all := append(conftest.Reloads(), conftest.OfCheck(block)...)
	if e.example[0] != "" {
		all = append(all, conftest.Of(block, e.name, e.example[0], e.example[1]))
	}
	i := slices.IndexFunc(all, func(r conftest.Reload) bool { return r.Block == block && r.Keyword == e.name })
	switch {
	case i < 0:
		t.Fatal("the keyword has no example in its row or in conftest")
	case all[i].Nothing != "":
		return
	}
	example := all[i]
	was, now := loadReload(t, example.Was), loadReload(t, example.Now)
	got := map[string]bool{}
	for _, c := range Compare(was, now) {
		got[c.Keyword] = true
		if c.Kind != Changed || c.From == c.To || e.secret && c.From != "as it was" {
			t.Errorf("%+v", c)
		}
		if c.Keyword == e.slotName() && c.Trait != e.reload {
			t.Errorf("%s: %v, want %v", c.Keyword, c.Trait, e.reload)
		}
	}
	want := example.Reports
	if want == "" {
		want = e.slotName()
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{want}) {
		t.Errorf("changed: %q, want %q", names, want)
	}
	again := loadReload(t, example.Now)
	if same := Compare(now, again); len(same) > 0 {
		t.Errorf("a configuration differs from itself: %+v", same)
	}
}

func wantBlock(t *testing.T, block string, e *entry) {
	example, ok := conftest.Blocks[block+" "+e.name]
	if !ok && block == "real_server" {
		example, ok = e.name+" {\n}\n", true
	}
	switch {
	case !ok:
		t.Fatal("the block has no example in conftest.Blocks")
	case example == "":
		return
	}
	without, with := loadReload(t, conftest.ReloadText(block, e.name, "")), loadReload(t, conftest.ReloadText(block, e.name, example))
	for kind, changes := range map[ChangeKind][]Change{Added: Compare(without, with), Removed: Compare(with, without)} {
		if len(changes) != 1 || changes[0].Kind != kind || !strings.HasPrefix(changes[0].Block[len(changes[0].Block)-1], e.name) {
			t.Errorf("%s: %+v", kind, changes)
		}
	}
}

// TestCompareSaysWhere wants the blocks around a change, values as people read them, and
// no password.
func TestCompareSaysWhere(t *testing.T) {
	tests := []struct{ block, was, now, want string }{
		{"real_server", "weight 1", "weight 2", "[virtual_server TCP 10.0.0.1:80 real_server 10.0.0.2:80] changed weight 1 2 in place"},
		{"TCP_CHECK", "retry 1", "retry 2", "[virtual_server TCP 10.0.0.1:80 real_server 10.0.0.2:80 TCP_CHECK] changed retry 1 2 anew"},
		{"authentication", "auth_type PASS\nauth_pass hush", "auth_type PASS\nauth_pass hush2", "[vrrp_instance V authentication] changed auth_pass as it was another in place"},
		{"vrrp_instance", "advert_int 1", "advert_int 60", "[vrrp_instance V] changed advert_int 1s 1m0s in place"},
		{"vrrp_instance", "virtual_ipaddress {\n10.0.0.1/24\n}", "virtual_ipaddress {\n10.0.0.1/24\n10.0.0.2\n}",
			"[vrrp_instance V] changed virtual_ipaddress 10.0.0.1/24 dev eth0 10.0.0.1/24 dev eth0, 10.0.0.2/32 dev eth0 in place"},
		{"vrrp_instance", "unicast_peer {\n10.0.0.8\n}", "unicast_peer {\n10.0.0.8 min_ttl 9\n10.0.0.9\n}", "[vrrp_instance V] changed unicast_peer 10.0.0.8 10.0.0.8 min_ttl 9, 10.0.0.9 in place"},
		{"virtual_server", "persistence_timeout 5", "persistence_timeout 5\npersistence_granularity 255.0.0.0",
			"[virtual_server TCP 10.0.0.1:80] changed persistence_granularity the whole address 255.0.0.0 in place"},
		{"tables", "servers 32", "servers 64", "[weir tables] changed servers 32 64 takes a restart"},
		{"weir", "mark 1 port 80", "mark 1 from 10.0.0.0/8 port 80", "[weir] changed mark 1 port 80 1 from 10.0.0.0/8 port 80 in place"},
		{"vrrp_instance", "state BACKUP\npriority 9", "state MASTER\npriority 9", "[vrrp_instance V] changed state BACKUP MASTER at its start"},
	}
	for _, tt := range tests {
		was, now := loadReload(t, conftest.ReloadText(tt.block, "", tt.was+"\n")), loadReload(t, conftest.ReloadText(tt.block, "", tt.now+"\n"))
		if got := fmt.Sprintf("%v", Compare(was, now)); got != "[{"+tt.want+"}]" {
			t.Errorf("got  %s\nwant [{%s}]", got, tt.want)
		}
	}
}

// TestCompareFindsTheBlocks wants each block compared with itself.
func TestCompareFindsTheBlocks(t *testing.T) {
	one := func(protocol, port, weight string) string {
		return "virtual_server 10.0.0.1 " + port + " {\nprotocol " + protocol + "\nreal_server 10.0.0.2 80 {\nweight " + weight + "\n}\n}\n"
	}
	instance := func(name, device, priority string) string {
		return "vrrp_instance " + name + " {\ninterface " + device + "\nvirtual_router_id 1\npriority " + priority + "\n}\n"
	}
	tests := []struct{ name, was, now, want string }{
		{"the other protocol goes", one("TCP", "80", "1") + one("UDP", "80", "1"), one("UDP", "80", "1"), "[{[virtual_server TCP 10.0.0.1:80] removed    in place}]"},
		{"another order", one("TCP", "80", "1") + one("TCP", "81", "1"), one("TCP", "81", "1") + one("TCP", "80", "2"),
			"[{[virtual_server TCP 10.0.0.1:80 real_server 10.0.0.2:80] changed weight 1 2 in place}]"},
		{"another name", instance("V", "e0", "1"), instance("W", "e0", "1"), "[{[vrrp_instance W] changed vrrp_instance V W in place}]"},
		{"another interface", instance("V", "e0", "1"), instance("V", "e1", "1"), "[{[vrrp_instance V] changed interface e0 e1 anew}]"},
		{"two change names", instance("V", "e0", "1") + instance("W", "e1", "2"), instance("W", "e0", "1") + instance("V", "e1", "2"),
			"[{[vrrp_instance W] changed vrrp_instance V W in place} {[vrrp_instance V] changed vrrp_instance W V in place}]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprintf("%v", Compare(loadReload(t, tt.was), loadReload(t, tt.now))); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// BenchmarkCompare compares a large file with the same but for one real server.
func BenchmarkCompare(b *testing.B) {
	content := string(cluster(2000, 20))
	was, _ := parseMemory(memory{"a": content}, "a")
	now, _ := parseMemory(memory{"a": strings.Replace(content, "weight 1", "weight 7", 1)}, "a")
	for b.Loop() {
		if changes := Compare(was, now); len(changes) != 1 {
			b.Fatalf("%+v", changes)
		}
	}
}
