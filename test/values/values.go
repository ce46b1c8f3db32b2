// Package values compares, value by value, what the real keepalived has understood of a
// configuration with what weir has: keepalived's --dump-conf with `weir show config --json`.
// It also makes configurations by chance. Tests run keepalived: cmd/weir in a namespace, for
// VRRP, and test/vm in the guest, whose kernel has IPVS, for LVS.
package values

import (
	"encoding/json"
	"regexp"

	"weir/conf"
)

// dumped is a block of a dump: its values by label, and its lists by theirs.
type dumped struct {
	values map[string]string
	lists  map[string][]string
}

func newDumped() *dumped { return &dumped{map[string]string{}, map[string][]string{}} }

// Shown is what "weir show config --json --secrets" prints.
func Shown(cfg *conf.Config) (map[string]any, error) {
	out, err := cfg.JSON(conf.ShowOptions{Secrets: true})
	if err != nil {
		return nil, err
	}
	var shown map[string]any
	if err := json.Unmarshal(out, &shown); err != nil {
		return nil, err
	}
	// keepalived shows the weight of a tracker where its user has none of its own.
	trackers := map[[2]string]map[string]any{}
	for kind, block := range map[string]string{"track_script": "vrrp_script", "track_file": "track_file", "track_process": "vrrp_track_process"} {
		for _, s := range objects(shown[block]) {
			trackers[[2]string{kind, plainText(s[block])}] = s
		}
	}
	for _, user := range append(objects(shown["vrrp_instance"]), objects(shown["vrrp_sync_group"])...) {
		for _, kind := range []string{"track_script", "track_file", "track_process"} {
			for _, track := range objects(user[kind]) {
				if of := trackers[[2]string{kind, plainText(track["name"])}]; track["has_weight"] != true && of != nil {
					track["weight"], track["reverse"], track["has_weight"] = of["weight"], of["reverse"], true
				}
			}
		}
	}
	return shown, nil
}

// known are the differences that are known, by what both have: docs/differences.md tells
// why.
var known = []struct {
	name    string
	matches *regexp.Regexp
}{
	{"skip_check_adv_addr off is on in keepalived", regexp.MustCompile(`skip_check_adv_addr: keepalived "true", weir "false"`)},
	{"quotes and backslashes in values, of which weir warns", regexp.MustCompile(`(router_id|notification_email_from): keepalived "('|[^"]*\\)`)},
	{"the port of a real server by DR in a group or a mark, which nothing uses", regexp.MustCompile(`real_server [^ ]*: port: keepalived "\d+", weir "0"`)},
	{"half seconds in vrrp_script, which 2.2.7 does not know", regexp.MustCompile(`vrrp_script .*: interval: keepalived .*, weir "\d*\.\d+"`)},
}

// Class is the name of a difference that is known, empty for any other.
func Class(difference string) string {
	for _, c := range known {
		if c.matches.MatchString(difference) {
			return c.name
		}
	}
	return ""
}

// Newer is said of words that keepalived 2.2.7 does not know, and of files that it
// takes only a part of.
var Newer = regexp.MustCompile(`[Uu]nknown keyword|Unexpected|[Uu]nmatched|SIGSEGV`)
