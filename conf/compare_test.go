package conf

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// reloadExample is a statement before and after a reload.
type reloadExample struct {
	was, now string
	// around are further statements of its block.
	around string
	// reports are the keywords that Compare names, where they are not the keyword.
	reports string
	// nothing says why the keyword has no value that could change.
	nothing string
}

// reloadExamples are of every keyword with an effect, by its block and name.
var reloadExamples = map[string]reloadExample{
	"global_defs router_id":               {was: "a", now: "b"},
	"global_defs lvs_id":                  {was: "a", now: "b"},
	"global_defs lvs_timeouts":            {was: "tcp 900", now: "tcp 901", reports: "tcp_established"},
	"global_defs vrrp_version":            {was: "2", now: "3"},
	"global_defs vrrp_garp_master_delay":  {was: "5", now: "6", around: "vrrp_garp_lower_prio_delay 5\n"},
	"global_defs vrrp_garp_master_repeat": {was: "5", now: "6", around: "vrrp_garp_lower_prio_repeat 5\n"},
	"global_defs include_check":           {was: "readable", now: "match"},
	"global_defs random_seed":             {was: "1", now: "2"},

	"vrrp_instance state":                {was: "BACKUP", now: "MASTER", around: "priority 100\n"},
	"vrrp_instance interface":            {was: "eth0", now: "eth1"},
	"vrrp_instance virtual_router_id":    {was: "1", now: "2"},
	"vrrp_instance priority":             {was: "100", now: "101"},
	"vrrp_instance advert_int":           {was: "1", now: "2"},
	"vrrp_instance version":              {was: "2", now: "3"},
	"vrrp_instance virtual_ipaddress":    {was: "{\n10.1.0.1\n}", now: "{\n10.1.0.1\n10.1.0.2\n}"},
	"vrrp_instance unicast_peer":         {was: "{\n10.1.1.1\n}", now: "{\n10.1.1.2\n}"},
	"vrrp_instance mcast_src_ip":         {was: "10.1.2.1", now: "10.1.2.2"},
	"vrrp_instance unicast_src_ip":       {was: "10.1.2.1", now: "10.1.2.2", reports: "mcast_src_ip"},
	"vrrp_instance nopreempt":            {was: "-", now: ""},
	"vrrp_instance preempt":              {was: "-nopreempt", now: "", reports: "nopreempt"},
	"vrrp_instance preempt_delay":        {was: "1", now: "2"},
	"vrrp_instance garp_master_delay":    {was: "5", now: "6"},
	"vrrp_instance garp_master_repeat":   {was: "5", now: "6"},
	"vrrp_instance accept":               {was: "-no_accept", now: ""},
	"vrrp_instance no_virtual_ipaddress": {was: "-", now: ""},
	"vrrp_instance virtual_ipaddress_excluded": {
		was: "{\n10.1.0.1\n}", now: "{\n10.1.0.2\n}"},
	"authentication auth_type": {was: "PASS", now: "AH", around: "auth_pass x\n"},
	"authentication auth_pass": {was: "x", now: "y", around: "auth_type PASS\n"},

	"virtual_server lb_algo":                 {was: "rr", now: "wrr"},
	"virtual_server lvs_sched":               {was: "rr", now: "wrr"},
	"virtual_server lb_kind":                 {was: "NAT", now: "DR"},
	"virtual_server lvs_method":              {was: "NAT", now: "DR"},
	"virtual_server protocol":                {was: "TCP", now: "UDP"},
	"virtual_server persistence_timeout":     {was: "5", now: "6"},
	"virtual_server persistence_granularity": {was: "255.0.0.0", now: "255.255.0.0", around: "persistence_timeout 5\n"},
	"virtual_server ops":                     {was: "-", now: "", around: "protocol UDP\n"},
	"virtual_server ip_family":               {was: "inet", now: "inet6"},
	"virtual_server nat_mask":                {nothing: "obsolete: it is read and forgotten"},
	"virtual_server weight":                  {was: "2", now: "3"},
	"virtual_server sh-port":                 {was: "-", now: ""},
	"virtual_server mh-port":                 {was: "-", now: ""},
	"virtual_server flag-2":                  {was: "-", now: ""},
	"virtual_server sh-fallback":             {was: "-", now: ""},
	"virtual_server mh-fallback":             {was: "-", now: ""},
	"virtual_server flag-1":                  {was: "-", now: ""},
	"virtual_server flag-3":                  {was: "-", now: ""},
	"real_server weight":                     {was: "2", now: "3"},
	"real_server lvs_method":                 {was: "NAT", now: "DR"},
	"real_server uthreshold":                 {was: "8", now: "9"},
	"real_server lthreshold":                 {was: "2", now: "3", around: "uthreshold 9\n"},
	"TCP_CHECK nb_get_retry":                 {was: "2", now: "3"},
	"TCP_CHECK connect_ip":                   {was: "10.0.0.8", now: "10.0.0.9"},
	"TCP_CHECK connect_port":                 {was: "81", now: "82"},
	"TCP_CHECK bindto":                       {was: "10.0.0.8", now: "10.0.0.9"},

	"device hook":  {was: "tc", now: "generic"},
	"weir mark":    {was: "1 port 80", now: "1 port 81"},
	"weir silence": {was: "not-yet", now: "obsolete"},

	"weir conn_reuse_mode":              {was: "1", now: "0"},
	"weir expire_nodest_conn":           {was: "0", now: "1"},
	"weir expire_quiescent_template":    {was: "0", now: "1"},
	"weir sloppy_tcp":                   {was: "0", now: "1"},
	"service conn_reuse_mode":           {was: "1", now: "0"},
	"service expire_nodest_conn":        {was: "0", now: "1"},
	"service expire_quiescent_template": {was: "0", now: "1"},
	"service sloppy_tcp":                {was: "0", now: "1"},

	"tables connections": {was: "2048", now: "4096"},
	"tables templates":   {was: "2048", now: "4096"},
	"tables services":    {was: "2048", now: "4096"},
	"tables servers":     {was: "2048", now: "4096"},

	" virtual_server_group": {was: "G {\n10.0.0.4\n}", now: "G {\n10.0.0.4\n10.0.0.5\n}"},
}

// init adds what stands at several levels in the same words.
func init() {
	for _, block := range []string{"virtual_server", "real_server", "TCP_CHECK"} {
		around := map[string]string{"delay_loop": "warmup 1\n"}
		for _, keyword := range []string{"delay_loop", "retry", "delay_before_retry", "connect_timeout", "warmup"} {
			reloadExamples[block+" "+keyword] = reloadExample{was: "2", now: "3", around: around[keyword]}
		}
		reloadExamples[block+" alpha"] = reloadExample{was: "off", now: "on"}
		if block == "virtual_server" {
			reloadExamples[block+" alpha"] = reloadExample{was: "-", now: ""}
		}
	}
	for _, e := range timeoutsBlock().entries {
		reloadExamples["timeouts "+e.name] = reloadExample{was: "5", now: "6"}
	}
}

// blockExamples are of every block that a reload may add, by the block around it and its
// keyword; empty for one that is always there.
var blockExamples = map[string]string{
	" global_defs": "", " weir": "", "vrrp_instance authentication": "", "weir tables": "", "weir timeouts": "",
	" vrrp_instance":             "vrrp_instance W {\ninterface eth0\nvirtual_router_id 9\n}\n",
	" virtual_server":            "virtual_server 10.0.0.9 80 {\nprotocol TCP\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"virtual_server real_server": "real_server 10.0.0.9 80 {\n}\n",
	"real_server TCP_CHECK":      "TCP_CHECK {\n}\n",
	"weir device":                "device e9 {\n}\n",
	"weir service":               "",
}

// reloadFile has every block, and a place for a statement in each.
const reloadFile = `global_defs {
<global_defs>}
vrrp_instance V {
interface eth0
virtual_router_id 1
version 2
garp_master_delay 5
garp_master_repeat 5
<vrrp_instance><authentication>}
virtual_server group G {
protocol TCP
real_server 10.0.0.2 80 {
}
}
virtual_server fwmark 7 {
lb_kind TUN
<ip_family>real_server 10.0.0.2 80 {
}
}
virtual_server 10.0.0.1 80 {
protocol TCP
<virtual_server>real_server 10.0.0.2 80 {
lvs_method NAT
<real_server>TCP_CHECK {
<TCP_CHECK>}
}
}
<>weir {
<weir>device e0 {
<device>}
tables {
<tables>}
timeouts {
<timeouts>}
<service>}
`

// reloadText is a file with a statement in one of its blocks.
func reloadText(block, keyword, statement string) string {
	switch {
	case keyword == "ip_family":
		block = keyword
	case block == "authentication" && statement != "":
		statement = "authentication {\n" + statement + "}\n"
	case block == "service" && statement != "":
		statement = "service TCP 10.0.0.1 80 {\n" + statement + "}\n"
	}
	text := strings.Replace(reloadFile, "<"+block+">", statement, 1)
	if keyword == "virtual_server_group" {
		return plainReload(strings.Replace(text, "<>", "", 1))
	}
	return "virtual_server_group G {\n10.0.0.4\n}\n" + plainReload(text)
}

// plainReload has nothing more in its blocks.
func plainReload(text string) string {
	for _, b := range strings.Fields("global_defs vrrp_instance authentication ip_family virtual_server real_server TCP_CHECK weir device tables timeouts service") {
		text = strings.Replace(text, "<"+b+">", "", 1)
	}
	return strings.Replace(text, "<>", "", 1)
}

// loadReload reads a text that has to be right.
func loadReload(t *testing.T, text string) *Config {
	t.Helper()
	cfg, diags := parseMemory(memory{"main.conf": text}, "main.conf")
	if cfg == nil {
		t.Fatalf("%v\n%s", diags.All(), text)
	}
	return cfg
}

// statement is a line of an example.
func (e reloadExample) statement(keyword, value string) string {
	if raw, ok := strings.CutPrefix(value, "-"); ok {
		return e.around + raw + "\n"
	}
	return e.around + keyword + " " + value + "\n"
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
	example, ok := reloadExamples[block+" "+e.name]
	switch {
	case !ok:
		t.Fatal("the keyword has no example in reloadExamples")
	case example.nothing != "":
		return
	}
	was := loadReload(t, reloadText(block, e.name, example.statement(e.name, example.was)))
	now := loadReload(t, reloadText(block, e.name, example.statement(e.name, example.now)))
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
	want := example.reports
	if want == "" {
		want = e.slotName()
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{want}) {
		t.Errorf("changed: %q, want %q", names, want)
	}
	again := loadReload(t, reloadText(block, e.name, example.statement(e.name, example.now)))
	if same := Compare(now, again); len(same) > 0 {
		t.Errorf("a configuration differs from itself: %+v", same)
	}
}

func wantBlock(t *testing.T, block string, e *entry) {
	example, ok := blockExamples[block+" "+e.name]
	switch {
	case !ok:
		t.Fatal("the block has no example in blockExamples")
	case example == "":
		return
	}
	without, with := loadReload(t, reloadText(block, e.name, "")), loadReload(t, reloadText(block, e.name, example))
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
		was, now := loadReload(t, reloadText(tt.block, "", tt.was+"\n")), loadReload(t, reloadText(tt.block, "", tt.now+"\n"))
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

// TestCompareIsFast compares a large file with the same but for one virtual server, as
// a Loader reads them.
func TestCompareIsFast(t *testing.T) {
	text := string(cluster(2000, 20))
	loader := &Loader{}
	was, diags := loader.load(memory{"a": text}, Options{}, "a")
	if was == nil {
		t.Fatal(diags.All())
	}
	now, _ := loader.load(memory{"a": strings.Replace(text, "weight 1", "weight 7", 1)}, Options{}, "a")
	compared()
	start := time.Now()
	changes := Compare(was, now)
	if took := time.Since(start); took > 50*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if len(changes) != 1 || changes[0].Keyword != "weight" {
		t.Errorf("%+v", changes)
	}
	t.Log(time.Since(start))
}
