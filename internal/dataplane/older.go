package dataplane

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/conn"
	"weir/internal/dataplane/kmap"
)

// olderPins are what builds before have pinned for their connections. They stay until all of these
// have been taken over: the build's programs forward by them until they are replaced, and a start
// that is cut off before is followed by another. The tables themselves go last.
var olderPins = []string{"expiry_chunks", "conn_sizes", abi.OlderConnTables}

// openOlder opens the tables of connections that an older build has left in a folder of pins; it
// returns nil where there are none. Those that cannot be taken over are unpinned.
func openOlder(pinDir string, log *slog.Logger) (*ebpf.Map, error) {
	tables, err := ebpf.LoadPinnedMap(filepath.Join(pinDir, abi.OlderConnTables), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, unpinOlder(pinDir) // a start may have been cut off in between
	}
	if err != nil {
		return nil, fmt.Errorf("open the tables of connections of an older build: %w", err)
	}
	err = conn.OlderFits(tables)
	if err == nil {
		return tables, nil
	}
	tables.Close()
	if !errors.Is(err, ebpf.ErrMapIncompatible) {
		return nil, err
	}
	log.Warn("connections of an older build are lost: this build cannot read its tables", "pins", pinDir, "error", err)
	return nil, unpinOlder(pinDir)
}

func unpinOlder(pinDir string) (err error) {
	for _, name := range olderPins {
		err = errors.Join(err, kmap.Unpin(filepath.Join(pinDir, name)))
	}
	return err
}

func (p *Plane) closeOlder() {
	if p.older != nil {
		p.older.Close()
		p.older = nil
	}
}

// takeOver takes over the connections of an older build, if there are any left. Nothing is left of
// its tables where no device has its programs any more.
func (p *Plane) takeOver() error {
	last := p.devices.Settled()
	took, err := p.conns.TakeOver(last)
	if err != nil || !took {
		return err
	}
	if last {
		err = unpinOlder(p.pinDir)
	}
	return p.cutIf(true, err) // rules may deny some of their clients
}
