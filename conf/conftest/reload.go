// Package conftest has files for tests: two for every keyword that has an effect, which
// differ in that keyword.
package conftest

import (
	"maps"
	"slices"
	"strings"
)

// Reload is a keyword whose value differs in two files.
type Reload struct {
	Block, Keyword string
	// Was and Now are the files, which differ in nothing else.
	Was, Now string
	// Reports is the keyword that a change names; it is another one for a synonym.
	Reports string
	// Nothing says why the keyword has no value that could change.
	Nothing string
}

// Reloads are of every keyword that has an effect, in the order of their names.
func Reloads() (all []Reload) {
	for _, name := range slices.Sorted(maps.Keys(reloadExamples)) {
		e := reloadExamples[name]
		r := Reload{Reports: e.reports, Nothing: e.nothing}
		r.Block, r.Keyword, _ = strings.Cut(name, " ")
		r.Was = ReloadText(r.Block, r.Keyword, e.statement(r.Keyword, e.was))
		r.Now = ReloadText(r.Block, r.Keyword, e.statement(r.Keyword, e.now))
		all = append(all, r)
	}
	return all
}

// Of is a keyword with these values.
func Of(block, keyword, was, now string) Reload {
	text := func(value string) string { return ReloadText(block, keyword, keyword+" "+value+"\n") }
	return Reload{Block: block, Keyword: keyword, Was: text(was), Now: text(now)}
}

// OfCheck are what all kinds of checks have, in a check of this kind.
func OfCheck(kind string) (all []Reload) {
	for _, r := range Reloads() {
		if r.Block == "TCP_CHECK" {
			r.Block, r.Was, r.Now = kind, asKind(r.Was, kind), asKind(r.Now, kind)
			all = append(all, r)
		}
	}
	return all
}

// needs are what a kind of check has to have.
var needs = map[string]string{
	"HTTP_GET": "url {\npath /\n}\n", "SSL_GET": "url {\npath /\n}\n",
	"MISC_CHECK": "misc_path \"/bin/true a\"\nmisc_timeout 9\n",
	"DNS_CHECK":  "delay_before_retry 1\n", // otherwise it is delay_loop
	"FILE_CHECK": "track_file F\n",
	"BFD_CHECK":  "name B\n",
}

// asKind has a check of another kind in a file; host is a block in SMTP_CHECK.
func asKind(text, kind string) string {
	if kind == "host" {
		before, rest, _ := strings.Cut(text, "TCP_CHECK {\n")
		inner, behind, _ := strings.Cut(rest, "}\n")
		return before + "SMTP_CHECK {\nhost {\n" + inner + "}\n}\n" + behind
	}
	need := needs[kind]
	if strings.Contains(text, "misc_path") || strings.Contains(text, "\ntrack_file F2\n") || strings.Contains(text, "\ntrack_file F\n") || strings.Contains(text, "\nname B\n") || strings.Contains(text, "\nname B2\n") {
		need = "" // the first one counts
	}
	return strings.Replace(text, "TCP_CHECK {\n", kind+" {\n"+need, 1)
}

// isCheck says whether a block is a check of another kind than TCP_CHECK.
func isCheck(block string) bool {
	return block == "host" || strings.HasSuffix(block, "_CHECK") && block != "TCP_CHECK" || strings.HasSuffix(block, "_GET")
}

// reloadExample is a statement before and after a reload.
type reloadExample struct {
	was, now string
	// around are further statements of its block.
	around           string
	reports, nothing string
}

const (
	hmacKey  = "abcdefghijklmnopqrstuvwxyz0123456789"
	hmacKeys = "key 1 " + hmacKey + "\nactive_key 1\n"
)

// reloadExamples are of every keyword with an effect, by its block and name.
var reloadExamples = map[string]reloadExample{
	"global_defs router_id":               {was: "a", now: "b"},
	"global_defs lvs_id":                  {was: "a", now: "b"},
	"global_defs lvs_timeouts":            {was: "tcp 900", now: "tcp 901", reports: "tcp_established"},
	"global_defs vrrp_version":            {was: "2", now: "3"},
	"global_defs vrrp_garp_master_delay":  {was: "5", now: "6", around: "vrrp_garp_lower_prio_delay 5\n"},
	"global_defs vrrp_garp_master_repeat": {was: "5", now: "6", around: "vrrp_garp_lower_prio_repeat 5\n"},
	"global_defs vrrp_check_unicast_src":  {nothing: "it is that of instances which say nothing"},
	"global_defs include_check":           {was: "readable", now: "match"},
	"global_defs random_seed":             {was: "1", now: "2"},
	"global_defs umask":                   {was: "022", now: "077"},
	"global_defs use_symlink_paths":       {was: "off", now: "on"},
	"global_defs startup_script_timeout":  {was: "10", now: "20"},
	"global_defs shutdown_script_timeout": {was: "10", now: "20"},
	"global_defs vrrp_rt_priority":        {was: "1", now: "2"},
	"global_defs dynamic_interfaces":      {was: "-", now: ""},
	"global_defs log_unknown_vrids":       {was: "-", now: ""},

	"global_defs vrrp_garp_lower_prio_delay":      {was: "5", now: "6"},
	"global_defs vrrp_garp_lower_prio_repeat":     {was: "5", now: "6"},
	"global_defs vrrp_garp_master_refresh":        {was: "5", now: "6"},
	"global_defs vrrp_garp_master_refresh_repeat": {was: "5", now: "6"},
	"global_defs vrrp_garp_extra_if":              {was: "5", now: "6"},
	"global_defs vrrp_vmac_garp_intvl":            {was: "5", now: "6"},
	"global_defs vrrp_garp_interval":              {was: "1", now: "2"},
	"global_defs vrrp_gna_interval":               {was: "1", now: "2"},
	"global_defs vrrp_min_garp":                   {was: "off", now: "on", around: "vrrp_garp_master_delay 5\nvrrp_garp_master_repeat 5\n"},
	"global_defs vrrp_startup_delay":              {was: "1", now: "2"},
	"global_defs vrrp_delay_after_boot":           {was: "1", now: "2"},

	"vrrp_instance dont_track_primary":         {was: "-", now: ""},
	"vrrp_instance garp_master_refresh":        {was: "5", now: "6"},
	"vrrp_instance garp_master_refresh_repeat": {was: "5", now: "6"},
	"vrrp_instance no_accept":                  {was: "-", now: "", reports: "accept"},
	"vrrp_instance garp_extra_if":              {was: "5", now: "6"},
	"vrrp_instance vmac_garp_intvl":            {was: "5", now: "6"},
	"vrrp_instance garp_lower_prio_delay":      {was: "5", now: "6"},
	"vrrp_instance garp_lower_prio_repeat":     {was: "5", now: "6"},

	"track_group group":                          {was: "{\nV\n}", now: "{\nV2\n}"},
	"vrrp_sync_group group":                      {was: "{\nV\n}", now: "{\nV2\n}"},
	"vrrp_sync_group sync_group_tracking_weight": {was: "-", now: "", around: "group {\nV\n}\n"},

	"garp_group garp_interval": {was: "1", now: "2", around: "interface eth0\n"},
	"garp_group gna_interval":  {was: "1", now: "2", around: "interface eth0\n"},
	"garp_group interface":     {was: "eth0", now: "eth1", around: "garp_interval 1\n", reports: "interfaces"},
	"garp_group interfaces":    {was: "{\neth0\n}", now: "{\neth1\n}", around: "garp_interval 1\n"},

	"vrrp_script script":                       {was: "/bin/true", now: "/bin/echo"},
	"vrrp_script interval":                     {was: "50", now: "60", around: "timeout 50\n"},
	"vrrp_script timeout":                      {was: "50", now: "60"},
	"vrrp_script weight":                       {was: "5", now: "6"},
	"vrrp_script rise":                         {was: "2", now: "3"},
	"vrrp_script fall":                         {was: "2", now: "3"},
	"vrrp_script user":                         {was: "root", now: "nobody"},
	"vrrp_script init_fail":                    {was: "-", now: ""},
	"vrrp_track_process process":               {was: "a", now: "b"},
	"vrrp_track_process param_match":           {was: "initial", now: "partial"},
	"vrrp_track_process weight":                {was: "5", now: "6"},
	"vrrp_track_process quorum":                {was: "2", now: "3"},
	"vrrp_track_process quorum_max":            {was: "2", now: "3"},
	"vrrp_track_process fork_delay":            {was: "2", now: "3"},
	"vrrp_track_process terminate_delay":       {was: "2", now: "3"},
	"vrrp_track_process delay":                 {nothing: "it is fork_delay and terminate_delay"},
	"vrrp_track_process full_command":          {was: "-", now: ""},
	"global_defs vrrp_lower_prio_no_advert":    {was: "off", now: "on"},
	"global_defs vrrp_higher_prio_send_advert": {was: "off", now: "on"},
	"global_defs vrrp_owner_ignore_adverts":    {was: "off", now: "on"},
	"global_defs vrrp_skip_check_adv_addr":     {was: "off", now: "on"},
	"global_defs vrrp_strict":                  {nothing: "it is that of instances which say nothing"},
	"global_defs vrrp_mcast_group4":            {was: "224.0.0.18", now: "224.0.0.99"},
	"global_defs vrrp_mcast_group6":            {was: "ff02::12", now: "ff02::99"},
	"global_defs vrrp_down_timer_adverts":      {was: "3", now: "4"},
	"global_defs v3_checksum_as_v2":            {was: "-", now: ""},

	"global_defs vmac_prefix":      {nothing: "it is that of devices which have no name of their own"},
	"global_defs vmac_addr_prefix": {nothing: "it is that of devices which have no name of their own"},
	"vrrp_instance use_vmac":       {was: "v1", now: "v2"},
	"vrrp_instance use_ipvlan":     {was: "v1 10.1.2.1/8", now: "v2 10.1.2.1/8"},
	"vrrp_instance use_vmac_addr":  {was: "-", now: ""},
	"vrrp_instance vmac_xmit_base": {was: "-", now: "", around: "use_vmac\n"},

	"vrrp_instance lower_prio_no_advert":    {was: "off", now: "on"},
	"vrrp_instance higher_prio_send_advert": {was: "off", now: "on"},
	"vrrp_instance owner_ignore_adverts":    {was: "off", now: "on", around: "priority 255\n"},
	"vrrp_instance skip_check_adv_addr":     {was: "off", now: "on"},
	"vrrp_instance strict_mode":             {was: "off", now: "on", around: "virtual_ipaddress {\n10.1.0.1\n}\ngarp_lower_prio_delay 0\ngarp_lower_prio_repeat 0\nlower_prio_no_advert on\nno_accept\n"},
	"vrrp_instance mcast_dst_ip":            {was: "224.0.0.98", now: "224.0.0.99"},
	"vrrp_instance v3_checksum_as_v2":       {was: "off", now: "on"},
	"vrrp_instance down_timer_adverts":      {was: "3", now: "4"},
	"vrrp_instance timer_expired_backup":    {was: "100", now: "200", around: "nopreempt\n"},
	"vrrp_instance thread_timer_expired":    {was: "100", now: "200", around: "nopreempt\n", reports: "timer_expired_backup"},
	"vrrp_instance unicast_ttl":             {was: "64", now: "65", around: "unicast_peer {\n10.1.1.1\n}\n"},
	"vrrp_instance unicast_fault_no_peer":   {was: "-", now: ""},
	"vrrp_instance old_unicast_checksum":    {was: "-", now: "", around: "unicast_peer {\n10.1.1.1\n}\n"},
	"vrrp_instance track_src_ip":            {was: "-", now: ""},

	"auth_hmac key":         {was: "1 " + hmacKey, now: "1 " + strings.ToUpper(hmacKey), around: "active_key 1\n"},
	"auth_hmac active_key":  {was: "1", now: "2", around: "key 1 " + hmacKey + "\nkey 2 " + hmacKey + "\n"},
	"auth_hmac anti_replay": {was: "time", now: "monotonic", around: hmacKeys},
	"auth_hmac time_window": {was: "5", now: "6", around: hmacKeys},
	"auth_hmac mode":        {was: "enforce", now: "permissive", around: hmacKeys},

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
	"vrrp_instance check_unicast_src":    {was: "-", now: ""},
	"vrrp_instance nopreempt":            {was: "-", now: ""},
	"vrrp_instance preempt":              {was: "-nopreempt", now: "", reports: "nopreempt"},
	"vrrp_instance preempt_delay":        {was: "1", now: "2"},
	"vrrp_instance garp_master_delay":    {was: "5", now: "6"},
	"vrrp_instance garp_master_repeat":   {was: "5", now: "6"},
	"vrrp_instance accept":               {was: "-no_accept", now: ""},
	"vrrp_instance no_virtual_ipaddress": {was: "-", now: ""},
	"vrrp_instance promote_secondaries":  {was: "-", now: ""},
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

	"bfd_instance neighbor_ip":  {was: "10.1.9.5", now: "10.1.9.6"},
	"bfd_instance neighbour_ip": {was: "10.1.9.5", now: "10.1.9.6", reports: "neighbor_ip"},
	"bfd_instance passive":      {was: "-", now: ""},
	"bfd_instance weight":       {was: "1", now: "2"},
	"bfd_instance vrrp":         {was: "-", now: ""},
	"bfd_instance checker":      {was: "-", now: ""},
	"track_file file":           {was: "/none/f", now: "/none/f2"},
	"track_file weight":         {was: "2", now: "3"},
	"track_file init_file":      {was: "1", now: "2"},

	"weir verify_certificates": {nothing: "its file has to be there: see TestReloadTakesUpTheCertificate"},

	"SSL certificate": {nothing: "its file has to be there: see TestReloadTakesUpTheCertificate"},
	"SSL key":         {nothing: "its file has to be there: see TestReloadTakesUpTheCertificate"},

	"MISC_CHECK misc_dynamic":                {was: "-", now: ""},
	"global_defs enable_script_security":     {was: "-", now: ""},
	"global_defs set_supplementary_groups":   {was: "-", now: ""},
	"virtual_server inhibit_on_failure":      {was: "-", now: ""},
	"virtual_server quorum":                  {was: "2", now: "3", around: "weight 9\n"},
	"virtual_server hysteresis":              {was: "1", now: "2", around: "weight 9\nquorum 5\n"},
	"virtual_server sorry_server":            {was: "10.0.0.8 80", now: "10.0.0.9 80"},
	"virtual_server sorry_server_inhibit":    {was: "-", now: "", around: "sorry_server 10.0.0.8 80\n"},
	"virtual_server sorry_server_lvs_method": {was: "NAT", now: "DR", around: "sorry_server 10.0.0.8 80\n"},
	"url regex_no_match":                     {was: "-", now: "", around: "regex ok\n"},

	"service check_via_vip": {was: "-", now: ""},
	"service passive":       {was: "-", now: ""},
	"service agent_inter":   {was: "2", now: "0.5", around: "agent_check 9000\n"},

	"device hook":     {was: "tc", now: "generic"},
	"weir mark":       {was: "1 port 80", now: "1 port 81"},
	"weir deny":       {was: "10.0.0.0/8", now: "10.0.0.0/8 protocol TCP port 80"},
	"weir allow":      {was: "10.1.0.0/16 port 80", now: "10.1.0.0/16 port 81"},
	"weir silence":    {was: "not-yet", now: "obsolete"},
	"weir peer_probe": {was: "-", now: ""},

	"tables connections": {was: "2048", now: "4096"},
	"tables templates":   {was: "2048", now: "4096"},
	"tables services":    {was: "2048", now: "4096"},
	"tables servers":     {was: "2048", now: "4096"},

	" interface_up_down_delays":     {was: "{\neth0 1 2\n}", now: "{\neth0 1 3\n}"},
	" static_ipaddress":             {was: "{\n10.77.0.1/32 dev eth0\n}", now: "{\n10.77.0.2/32 dev eth0\n}"},
	" static_routes":                {was: "{\n10.77.1.0/24 dev eth0\n}", now: "{\n10.77.2.0/24 dev eth0\n}"},
	" static_rules":                 {was: "{\nfrom 10.77.1.0/24 table 7 priority 7\n}", now: "{\nfrom 10.77.1.0/24 table 7 priority 8\n}"},
	"global_defs default_interface": {was: "eth0", now: "eth1"},
	"vrrp_instance virtual_routes":  {was: "{\n10.77.1.0/24 dev eth0\n}", now: "{\n10.77.2.0/24 dev eth0\n}"},
	"vrrp_instance virtual_rules":   {was: "{\nfrom 10.77.1.0/24 table 7 priority 7\n}", now: "{\nfrom 10.77.1.0/24 table 7 priority 8\n}"},
	" virtual_server_group":         {was: "G {\n10.0.0.4\n}", now: "G {\n10.0.0.4\n10.0.0.5\n}"},
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
	for _, block := range []string{"vrrp_instance", "vrrp_sync_group"} {
		for keyword, names := range map[string]string{"track_interface": "eth0 eth1", "track_script": "s1 s2", "track_file": "f1 f2", "track_process": "p1 p2", "track_bfd": "B B2"} {
			was, now, _ := strings.Cut(names, " ")
			e := reloadExample{was: "{\n" + was + "\n}", now: "{\n" + now + "\n}"}
			if block == "vrrp_sync_group" {
				e.around = aGroup
			}
			reloadExamples[block+" "+keyword] = e
		}
	}
	for _, name := range strings.Fields(timeouts) {
		reloadExamples["timeouts "+name] = reloadExample{was: "5", now: "6"}
	}
}

// Blocks are of every block that a reload may add, by the block around it and its
// keyword; empty for one that is always there.
var Blocks = map[string]string{
	" global_defs": "", " weir": "", " SSL": "", "vrrp_instance authentication": "", "weir tables": "", "weir timeouts": "",
	" track_file":                "track_file W {\nfile /none/w\n}\n",
	" bfd_instance":              "bfd_instance W {\nneighbor_ip 10.1.9.9\n}\n",
	"real_server BFD_CHECK":      "BFD_CHECK {\nname B\n}\n",
	" vrrp_track_file":           "", // it is a track_file
	"real_server FILE_CHECK":     "FILE_CHECK {\ntrack_file F\n}\n",
	"vrrp_instance auth_hmac":    "",
	" vrrp_instance":             "vrrp_instance W {\ninterface eth0\nvirtual_router_id 9\n}\n",
	" vrrp_sync_group":           "vrrp_sync_group W {\ngroup {\nV\n}\n}\n",
	" track_group":               "track_group W {\ngroup {\nV\n}\n}\n",
	" garp_group":                "garp_group {\ngarp_interval 1\ninterface eth0\n}\n",
	" vrrp_script":               "vrrp_script W {\nscript /bin/true\ninterval 50\n}\n",
	" vrrp_track_process":        "vrrp_track_process W {\nprocess a\n}\n",
	" virtual_server":            "virtual_server 10.0.0.9 80 {\nprotocol TCP\nreal_server 10.0.0.2 80 {\n}\n}\n",
	"virtual_server real_server": "real_server 10.0.0.9 80 {\n}\n",
	"real_server TCP_CHECK":      "TCP_CHECK {\n}\n",
	"real_server MISC_CHECK":     "MISC_CHECK {\nmisc_path /bin/true\n}\n",
	"real_server HTTP_GET":       "HTTP_GET {\nurl {\npath /\n}\n}\n",
	"real_server SSL_GET":        "SSL_GET {\nurl {\npath /\n}\n}\n",
	"SMTP_CHECK host":            "", // its keywords are the check's
	"HTTP_GET url":               "url {\npath /b\n}\n",
	"SSL_GET url":                "url {\npath /b\n}\n",
	"weir device":                "device e9 {\n}\n",
	"weir service":               "",
	"weir vrrp":                  "",
}

// statement is a line of an example.
func (e reloadExample) statement(keyword, value string) string {
	if raw, ok := strings.CutPrefix(value, "-"); ok {
		return e.around + raw + "\n"
	}
	return e.around + keyword + " " + value + "\n"
}

// timeouts are the keywords of the block of that name.
const timeouts = `tcp_none tcp_established tcp_syn_sent tcp_syn_recv tcp_fin_wait tcp_time_wait
	tcp_close tcp_close_wait tcp_last_ack tcp_listen tcp_synack udp`
