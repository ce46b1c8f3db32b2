package dataplane

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"weir/lvs"
)

// Tables that an earlier version pinned by other names are taken up with what they hold:
// connections go on, and nothing stays pinned by the former names.
func TestOpenTakesUpTablesByFormerNames(t *testing.T) {
	withPlane(t, twoServers(lvs.RoundRobin), func(b *bench) {
		for port := range 8 {
			b.send(t, places[0], syn(port+1), back)
		}
		for was, name := range formerNames {
			path := filepath.Join(b.pinDir, was)
			if name == "" {
				if err := pinCopy(b.maps.Vips, path); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if err := os.Rename(filepath.Join(b.pinDir, name), path); err != nil {
				t.Fatal(err)
			}
		}
		next, err := Open(Options{PinDir: b.pinDir, Connections: 1 << 15, RealServers: 1024, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		taken := bench{Plane: next}
		for port := range 8 {
			taken.conn(t, syn(port+1))
		}
		taken.wantDue(t)
		pins, err := os.ReadDir(b.pinDir)
		if err != nil {
			t.Fatal(err)
		}
		for was := range formerNames {
			if slices.ContainsFunc(pins, func(e os.DirEntry) bool { return e.Name() == was }) {
				t.Errorf("%s is still pinned", was)
			}
		}
	})
}

// pinCopy pins a table once more, by another name.
func pinCopy(m *ebpf.Map, path string) error {
	again, err := m.Clone()
	if err != nil {
		return err
	}
	defer again.Close()
	return again.Pin(path)
}
