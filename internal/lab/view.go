package lab

import (
	"strings"
	"time"
)

// What weir says in its log of the things that a lab watches.
const (
	msgStarted  = "started"
	msgAttached = "data plane attached" // device, hook, why
	msgState    = "vrrp state changed"  // instance, from, to
	msgServer   = "real server"         // virtual_server, real_server, state, reason
	msgChecked  = "first check passed"  // check
)

// View is what a node's director has said of itself so far.
type View struct {
	Running bool
	// State is the state of its VRRP instance: master, backup or fault, and
	// Since when that is.
	State string
	Since time.Time
	// Down are the real servers that it has taken out, by address and port,
	// with the reason.
	Down map[string]string
	// Devices are where its data plane is attached: "ens160 tc".
	Devices []string
}

// View reads the log of the present weir process.
func (n *Node) View() (View, error) {
	n.mu.Lock()
	weir, mark := n.weir, n.mark
	n.mu.Unlock()
	v := View{Running: weir != nil && weir.Running(), Down: map[string]string{}}
	records, err := n.Log.Records(mark)
	if err != nil {
		return v, err
	}
	for _, r := range records {
		switch r.Msg {
		case msgState:
			v.State, v.Since = strings.ToLower(r.Attrs["to"]), r.Time
		case msgServer:
			if r.Attrs["state"] == "down" {
				v.Down[r.Attrs["real_server"]] = r.Attrs["reason"]
			} else {
				delete(v.Down, r.Attrs["real_server"])
			}
		case msgAttached:
			v.Devices = append(v.Devices, r.Attrs["device"]+" "+r.Attrs["hook"])
		}
	}
	return v, nil
}

// Matching log lines, for WaitLog.

// IsState matches the director's change to a VRRP state.
func IsState(to string) func(Record) bool {
	return func(r Record) bool { return r.Msg == msgState && strings.EqualFold(r.Attrs["to"], to) }
}

// IsServer matches a real server's change to "up" or "down".
func IsServer(addrPort, state string) func(Record) bool {
	return func(r Record) bool {
		return r.Msg == msgServer && r.Attrs["real_server"] == addrPort && r.Attrs["state"] == state
	}
}

// IsFirstCheck matches the first good check of a real server.
func IsFirstCheck(addrPort string) func(Record) bool {
	return func(r Record) bool { return r.Msg == msgChecked && strings.HasSuffix(r.Attrs["check"], " "+addrPort) }
}

// Service is the node's web server as a real server: 192.168.25.31:80.
func (n *Node) Service() string { return n.Spec.Addr.Addr().String() + ":80" }
