package director

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"weir/conf"
	"weir/internal/bfd"
	"weir/internal/check"
	"weir/internal/cluster"
	"weir/internal/director/ha"
	"weir/internal/director/pool"
	"weir/internal/drift"
	"weir/internal/netlnk"
	"weir/internal/netlnk/arp"
	"weir/internal/netlnk/ndp"
	"weir/internal/vip"
	"weir/internal/vmac"
	"weir/lvs"
	"weir/vrrp"
)

// Machine is everything that the director reaches beyond itself. Plane is about the
// data plane and Real about this machine as a real server; the rest is the kernel's, of
// the calling thread's network namespace, in what OnKernel returns.
type Machine struct {
	Plane Plane
	Real  Real

	// VMACs are the devices that instances have over their interfaces.
	VMACs VMACs
	// Secondaries is promote_secondaries of devices.
	Secondaries Secondaries
	Addresses   vip.Addresses
	Announcer   vip.Announcer
	Routes      Routes
	// OpenLink opens what carries an instance's advertisements. A key of auth_hmac may be
	// "file:" with the path of a file that has it.
	OpenLink func(vrrp.LinkConfig, *slog.Logger) (ha.Transport, error)
	// BFD makes a speaker of BFD, which logs there.
	BFD func(*slog.Logger) Sessions
	// Watch reports changes of links, addresses, routes and neighbours until ctx ends;
	// then, or when it can report no more, the channel is closed.
	Watch func(ctx context.Context) (<-chan netlnk.Event, error)
	// AnswersARP, unless it is nil, says whether the machine at an address on a link, by its
	// Ethernet address, answers ARP for another address. Checks call it.
	AnswersARP func(ctx context.Context, server, addr netip.Addr) (mac net.HardwareAddr, answers bool)
	// Claims are those who hear of addresses: each calls heard for each address that another
	// machine on a link claims to have, until ctx ends.
	Claims []func(ctx context.Context, heard func(device int, a netip.Addr, mac net.HardwareAddr)) error
	// Ask, unless it is nil, asks on a device whether other machines have addresses; Claims
	// hear who answers. A goroutine of its own calls it.
	Ask func(device string, addrs []netip.Addr) error
	// TakeOver, unless it is nil, is called once the data plane is set up, and before any
	// instance begins: whoever keeps the masterships until now has to let go.
	TakeOver func()
	// Reloaded, unless it is nil, is called with each configuration that a reload has put in
	// force. It does not wait.
	Reloaded func(*conf.Config)
	// Files is how many files this process may open beside those that it has; nil is any
	// number. It is asked once everything but the checks is open.
	Files func() int
}

// VMACs makes and removes the devices that instances have over their interfaces. Both are
// idempotent.
type VMACs interface {
	// Make has these devices be there. One whose base does not exist is left out.
	Make([]vmac.Device) error
	// RemoveOthers removes what weir has made but for these, and names it.
	RemoveOthers([]vmac.Device) (removed []string, err error)
}

// Secondaries has devices keep the further addresses of a network when its first one goes. Both
// are idempotent.
type Secondaries interface {
	// Promote has these devices do so, too. One that does not exist is left out.
	Promote(devices []string) error
	// PutBack has all others do what they did before Promote.
	PutBack(but []string) error
}

// Sessions are those of BFD.
type Sessions interface {
	check.Sessions
	// Set has these sessions be and no others; those that stay go on. An error is that of
	// a port that cannot be had, and leaves them as they were.
	Set([]bfd.Config) error
	// Report lists them.
	Report() []bfd.Report
}

// Plane is the data plane, by what it is asked for.
type Plane struct {
	Forwarder Forwarder
	Leases    ha.Leases
	Left      Left
	Counters  Counters
	// Run keeps next hops fresh until ctx ends.
	Run func(ctx context.Context) error
	// Off, unless it is nil, tells of devices that the data plane was taken off and cannot be
	// attached to again, by their names. The loop calls it once a second.
	Off func() map[string]drift.Failure
	// Opened, unless it is nil, tells what became of the TCP connections since its last call.
	// A goroutine of its own calls it, twice a second, while a virtual server has the word
	// passive.
	Opened func() ([]lvs.Opened, error)
}

// Forwarder forwards.
type Forwarder interface {
	// Set makes the data plane do what the plan says. A goroutine of setter.Setter calls it.
	Set(lvs.Plan) error
	// Check says what of a plan cannot be, without doing any of it. Any goroutine calls it.
	Check(lvs.Plan) error
	// Find has what a plan's new servers are reached by looked for, so that Set need not
	// wait for it. Any goroutine calls it.
	Find(lvs.Plan)
	// Ahead begins what a first Set takes long for, once it is known which devices a plan is
	// likely to have. It does not wait.
	Ahead(lvs.Plan)
}

// Left is what an earlier process left in the data plane.
type Left interface {
	pool.Left
	// Directors are the other directors that it had heard.
	Directors() []lvs.Director
}

// Counters are the data plane's. Any goroutine may call them.
type Counters interface {
	// Live counts the connections of the servers of a service.
	Live(lvs.ServiceKey) map[netip.AddrPort]int
	// Hops are the next hops to the servers in service, as they are in force.
	Hops() map[netip.Addr]netlnk.NextHop
	// Report reads everything that has been counted.
	Report() (Report, error)
}

// Report is what the data plane knows: devices, counters, and its own drift.
type Report struct {
	pool.Counts
	Devices []cluster.Device
	// Connections, Packets and Drift are those of cluster.Snapshot.
	Connections int
	Packets     map[string]uint64
	Drift       map[string]cluster.Drift
}

// Real is this machine as a real server.
type Real interface {
	RealServer
	// Repair puts back what somebody changed of that, and says in words what that
	// was. The loop calls it once a second.
	Repair() (drifted []string, err error)
}

// RealServer prepares this machine to be a real server. All are idempotent.
type RealServer interface {
	// Start puts the VIPs on lo and keeps the machine from answering ARP for
	// them, as direct routing needs. On these devices it holds addresses while it
	// is master; none are those of before.
	Start(vips []netip.Addr, devices ...string) error
	// StartTunnel has packets for them come out of tunnels, too.
	StartTunnel(vips []netip.Addr, devices ...string) error
	// Stop undoes both.
	Stop(vips []netip.Addr) error
}

// Routes are the kernel's devices, addresses and routes.
type Routes interface {
	Look() (*netlnk.Picture, error)
	// Resolver looks addresses up until it is closed.
	Resolver() (Resolver, error)
}

// Resolver looks addresses up in the routes.
type Resolver interface {
	// Device is the index of the device by which packets to an address leave, 0 where the
	// address is this machine's.
	Device(netip.Addr) (index int, err error)
	Close()
}

// OnKernel is a machine that has this data plane and is a real server by this. Its secondaries
// remember in a file what was set before.
func OnKernel(plane Plane, real Real, secondaries string) Machine {
	return Machine{
		Plane: plane, Real: real, VMACs: vmac.Kernel{}, Secondaries: vip.Secondaries{File: secondaries}, Addresses: vip.Kernel{}, Announcer: vip.Kernel{}, Routes: kernel{},
		OpenLink: func(c vrrp.LinkConfig, log *slog.Logger) (ha.Transport, error) {
			var err error
			if c.HMAC.Keys, err = readKeys(c.HMAC.Keys); err != nil {
				return nil, err
			}
			link, err := vrrp.OpenLink(c, log)
			if err != nil {
				return nil, err
			}
			return link, nil
		},
		AnswersARP: answersARP,
		BFD:        func(log *slog.Logger) Sessions { return &bfd.Speaker{Log: log} },
		Watch:      netlnk.Watch, Files: freeFiles, Ask: askAll,
		Claims: []func(context.Context, func(int, netip.Addr, net.HardwareAddr)) error{
			func(ctx context.Context, heard func(int, netip.Addr, net.HardwareAddr)) error {
				return arp.Listen(ctx, func(c arp.Claim) { heard(c.Device, c.Addr, c.MAC) })
			},
			func(ctx context.Context, heard func(int, netip.Addr, net.HardwareAddr)) error {
				return ndp.Listen(ctx, func(c ndp.Claim) { heard(c.Device, c.Addr, c.MAC) })
			},
		},
	}
}

// arpTimeout is how long a real server has to answer ARP, which it is not to do.
const arpTimeout = 100 * time.Millisecond

// answersARP asks a machine on a link for an address. Where it cannot, nobody answers.
func answersARP(ctx context.Context, server, addr netip.Addr) (mac net.HardwareAddr, answers bool) {
	hop, err := netlnk.Resolve(server)
	if err != nil || !hop.Valid || hop.Local || hop.Gateway.IsValid() || len(hop.Dst) == 0 {
		return nil, false
	}
	answers, err = arp.Ask(ctx, hop, addr, arpTimeout)
	return hop.Dst, answers && err == nil
}

// askAll asks for IPv4 addresses by ARP, and for the others by neighbour solicitations.
func askAll(device string, addrs []netip.Addr) (err error) {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	if len(four) > 0 {
		err = arp.AskAll(device, four)
	}
	if len(six) > 0 {
		err = errors.Join(err, ndp.AskAll(device, six))
	}
	return err
}

// kernel is Routes of the calling thread's network namespace.
type kernel struct{}

func (kernel) Look() (*netlnk.Picture, error) { return netlnk.Look() }

func (kernel) Resolver() (Resolver, error) {
	r, err := netlnk.NewResolver()
	if err != nil {
		return nil, err
	}
	return r, nil
}
