package director

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"weir/lvs"
)

// told notes what it is told to be a real server for.
type told struct {
	calls []string
	err   error
}

func (r *told) Start(vips []netip.Addr) error {
	r.calls = append(r.calls, fmt.Sprint("direct ", vips))
	return r.err
}

func (r *told) StartTunnel(vips []netip.Addr) error {
	r.calls = append(r.calls, fmt.Sprint("tunnel ", vips))
	return r.err
}

func (r *told) Repair() ([]string, error) { return nil, r.err }
func (r *told) Stop(vips []netip.Addr) error {
	r.calls = append(r.calls, fmt.Sprint("stop ", vips))
	return r.err
}

// A machine becomes a real server by the methods of the servers that it is, and
// of no other; 127.0.0.1 is every machine's.
func TestServeHere(t *testing.T) {
	for _, tt := range []struct {
		name          string
		local, remote lvs.ForwardMethod
		want          string
	}{
		{"direct routing", lvs.DirectRoute, lvs.Tunnel, "direct [192.0.2.100]"},
		{"tunnel", lvs.Tunnel, lvs.DirectRoute, "tunnel [192.0.2.100]"},
		{"NAT needs nothing", lvs.Masquerade, lvs.Tunnel, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := server("127.0.0.1"), server("192.0.2.11")
			here.Method, there.Method = tt.local, tt.remote
			d, rs := newDirector(nil, here, there), &told{}
			d.realserver = rs
			if err := d.serveHere(d.picture); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(rs.calls, ", "); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			rs.err = errors.New("no device")
			if err := d.serveHere(d.picture); (err == nil) != (tt.want == "") {
				t.Errorf("where it fails: %v", err)
			}
		})
	}
}
