// Package weir has no code of its own: this test holds what ARCHITECTURE.md says
// of the rooms.
package weir

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// may lists, for each room, the rooms that it imports. Tests may import more.
var may = map[string][]string{
	"lvs":                            nil,
	"vrrp":                           {"vrrp/pace"},
	"vrrp/pace":                      nil,
	"conf":                           {"lvs", "conf/text", "conf/pcre"},
	"conf/pcre":                      nil,
	"conf/text":                      nil,
	"conf/conftest":                  nil,
	"conf/lint":                      {"lvs", "conf", "conf/text"},
	"examples":                       nil,
	"internal/netlnk":                nil,
	"internal/netlnk/arp":            {"internal/netlnk"},
	"internal/netlnk/ndp":            {"internal/netlnk"},
	"internal/sched":                 {"lvs"},
	"internal/check":                 {"lvs", "conf", "internal/beat", "conf/pcre", "internal/script", "internal/trackfile", "internal/bfd"},
	"internal/script":                {"conf"},
	"internal/notify":                {"lvs", "conf", "internal/cluster", "internal/script"},
	"internal/trackfile":             nil,
	"internal/bfd":                   nil,
	"internal/realserver":            {"internal/netlnk", "internal/statefile"},
	"internal/statefile":             nil,
	"internal/beat":                  nil,
	"internal/drift":                 nil,
	"internal/cluster":               {"lvs"},
	"internal/dataplane":             {"lvs", "vrrp/pace", "internal/beat", "internal/netlnk", "internal/sched", "internal/drift", "internal/dataplane/abi", "internal/dataplane/access", "internal/dataplane/kmap", "internal/dataplane/attach", "internal/dataplane/conn", "internal/dataplane/icmp", "internal/dataplane/lease", "internal/dataplane/mark", "internal/dataplane/nexthop", "internal/dataplane/service", "internal/dataplane/stats"},
	"internal/dataplane/abi":         {"lvs"},
	"internal/dataplane/abi/defines": nil,
	"internal/dataplane/access":      {"lvs", "internal/dataplane/abi", "internal/dataplane/kmap"},
	"internal/dataplane/kmap":        nil,
	"internal/dataplane/attach":      {"lvs", "internal/netlnk", "internal/drift", "internal/dataplane/abi", "internal/dataplane/kmap"},
	"internal/dataplane/conn":        {"lvs", "internal/beat", "internal/dataplane/abi", "internal/dataplane/kmap"},
	"internal/dataplane/icmp":        {"internal/dataplane/abi"},
	"internal/dataplane/lease":       {"lvs", "vrrp/pace", "internal/netlnk", "internal/dataplane/abi", "internal/dataplane/kmap"},
	"internal/dataplane/mark":        {"lvs", "internal/dataplane/abi", "internal/dataplane/kmap"},
	"internal/dataplane/nexthop":     {"internal/netlnk"},
	"internal/dataplane/service":     {"lvs", "internal/netlnk", "internal/sched", "internal/drift", "internal/dataplane/abi", "internal/dataplane/kmap", "internal/dataplane/conn", "internal/dataplane/nexthop", "internal/dataplane/stats"},
	"internal/dataplane/stats":       {"lvs", "internal/dataplane/abi"},
	"internal/vip":                   {"internal/netlnk", "internal/netlnk/arp", "internal/netlnk/ndp", "internal/drift", "internal/statefile"},
	"internal/vmac":                  {"internal/netlnk"},
	"internal/director/diff":         {"conf"},
	"internal/director/pool":         {"lvs", "conf", "internal/check", "internal/cluster", "internal/director/diff"},
	"internal/track":                 {"conf", "internal/script", "internal/trackfile", "internal/bfd"},
	"internal/director/ha":           {"lvs", "vrrp", "vrrp/pace", "conf", "internal/cluster", "internal/drift", "internal/netlnk", "internal/track", "internal/vip", "internal/vmac", "internal/director/diff"},
	"internal/director/setter":       {"lvs"},
	"internal/director":              {"lvs", "vrrp", "conf", "internal/beat", "internal/cluster", "internal/drift", "internal/check", "internal/script", "internal/trackfile", "internal/bfd", "internal/netlnk", "internal/netlnk/arp", "internal/netlnk/ndp", "internal/track", "internal/vip", "internal/vmac", "internal/director/diff", "internal/director/pool", "internal/director/ha", "internal/director/setter"},
	"internal/api":                   {"lvs", "conf", "internal/beat", "internal/director", "internal/cluster"},
	"internal/lab":                   {"examples", "conf", "internal/api", "internal/cluster"},
	"cmd/weir":                       {"conf", "conf/lint", "lvs", "vrrp", "internal/api", "internal/beat", "internal/check", "internal/cluster", "internal/dataplane", "internal/director", "internal/director/pool", "internal/netlnk", "internal/notify", "internal/script", "internal/realserver", "internal/statefile", "internal/lab"},
	"internal/netlnk/nstest":         nil,
	"internal/netlnk/fakenet":        {"lvs", "vrrp", "vrrp/pace", "internal/netlnk"},
	"test/bench":                     {"test/bench/floor"},
	"test/binary":                    nil,
	"test/cpu":                       nil,
	"test/mutate":                    nil,
	"test/postbox":                   nil,
	"test/values":                    {"conf"},
	"test/conformance":               {"lvs"},
	"test/bench/floor":               nil,
	"test/vm/cells":                  {"internal/api", "internal/director"},
	"test/vm/stories":                {"conf", "internal/check", "internal/cluster", "internal/director/pool", "internal/notify", "internal/script", "lvs", "test/postbox"},
	"test/vm/play":                   {"lvs", "internal/dataplane", "test/conformance"},
}

// only lists libraries that few rooms may know.
var only = map[string][]string{
	"github.com/vishvananda/netlink": {"internal/netlnk", "internal/lab"}, // the lab makes links and namespaces
	"github.com/cilium/ebpf":         {"internal/dataplane/...", "internal/realserver", "internal/netlnk/nstest", "test/bench/floor"},
	"github.com/spf13/cobra":         {"cmd/weir"},
}

func TestArrowsRunOneWay(t *testing.T) {
	for room, imports := range importsByRoom(t) {
		allowed, known := may[room]
		if !known {
			t.Errorf("room %s stands in no plan: add it to this test and to ARCHITECTURE.md", room)
		}
		for _, path := range imports {
			if ours, ok := strings.CutPrefix(path, "weir/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which it must not know", room, ours)
			}
			if owners, ok := only[path]; ok && !slices.ContainsFunc(owners, func(owner string) bool { return within(room, owner) }) {
				t.Errorf("%s imports %s, which only %v may", room, path, owners)
			}
		}
	}
}

// within says whether a room is the one that is named, or, where a name ends in
// "/...", that one or a room inside it.
func within(room, name string) bool {
	outer, all := strings.CutSuffix(name, "/...")
	return room == outer || all && strings.HasPrefix(room, outer+"/")
}

// TestInnerRooms holds that the parts of the data plane are known by the data plane
// alone.
func TestInnerRooms(t *testing.T) {
	for room, imports := range may {
		for _, path := range imports {
			if strings.HasPrefix(path, "internal/dataplane/") && !within(room, "internal/dataplane/...") {
				t.Errorf("%s may import %s, which is part of the data plane", room, path)
			}
		}
	}
}

// importsByRoom reads the imports of every file that is no test.
func importsByRoom(t *testing.T) map[string][]string {
	rooms := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := filepath.Dir(path)
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			rooms[room] = append(rooms[room], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rooms
}
