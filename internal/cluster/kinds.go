package cluster

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The kinds of what the director does.
const (
	Began             Kind = "started"
	RealServerUp      Kind = "real_server_up"
	RealServerDown    Kind = "real_server_down"
	RealServerWeight  Kind = "real_server_weight"
	CheckChanged      Kind = "check_changed"
	FirstCheckFailed  Kind = "first_check_failed"
	RealServerAgent   Kind = "real_server_agent"
	RealServerAnswers Kind = "real_server_answers"
	RealServerSilent  Kind = "real_server_silent"
	DirectorLost      Kind = "director_lost"
	QuorumGained      Kind = "quorum_gained"
	QuorumLost        Kind = "quorum_lost"
	SpareTierChanged  Kind = "spare_tier"
	ChecksNotMade     Kind = "checks_not_made"
	ChecksMadeAgain   Kind = "checks_made_again"
	OtherDirector     Kind = "other_director"
	Resumed           Kind = "resumed"
	HeldUp            Kind = "held_up"
	LocalServer       Kind = "local_real_server"
	LocalTunnelServer Kind = "local_tunnel_real_server"
	PlaneNotSet       Kind = "data_plane_not_set"
	NotPutBack        Kind = "reload_not_put_back"
	VIPNotAdded       Kind = "vip_not_added"
	VIPsNotAdded      Kind = "vips_not_added"
	VIPsNotRemoved    Kind = "vips_not_removed"
	VIPNotAnnounced   Kind = "vip_not_announced"
	OldVIP            Kind = "old_vip_removed"
	VRIDUnknown       Kind = "unknown_vrid"
	LeaseNotRenewed   Kind = "lease_not_renewed"
	LeaseNotReleased  Kind = "lease_not_released"
	SourceMoved       Kind = "vrrp_source_changed"
	Followed          Kind = "surroundings_changed"
	FollowFailed      Kind = "surroundings_not_followed"
	RuleAdded         Kind = "rule_added"
	RuleRemoved       Kind = "rule_removed"
	FirewallUnasked   Kind = "firewall_passed_over"
	OtherVRRP         Kind = "other_vrrp"
	OtherMasterOfOurs Kind = "other_vrrp_master"
)

// The kinds of what the engines report to their loggers.
const (
	VRRPState        Kind = "vrrp_state"
	AdvertNotSent    Kind = "advert_not_sent"
	AdvertSentAgain  Kind = "advert_sent_again"
	PeerNotSentTo    Kind = "unicast_peer_not_sent_to"
	PeerSentToAgain  Kind = "unicast_peer_sent_to_again"
	PriorityChanged  Kind = "vrrp_priority"
	LowerMaster      Kind = "lower_master"
	LowerMasterGone  Kind = "lower_master_gone"
	TimerLate        Kind = "vrrp_timer_late"
	AdvertDropped    Kind = "advert_dropped"
	FirstCheckPassed Kind = "first_check_passed"
	DeviceAttached   Kind = "device_attached"
	TablesBegunAnew  Kind = "tables_begun_anew"
	DriftRepaired    Kind = "drift_repaired"
	DriftNotRepaired Kind = "drift_not_repaired"
	DriftComesAgain  Kind = "drift_comes_again"
	DriftNotTold     Kind = "drift_not_told"
	DriftGone        Kind = "drift_gone"
	DriftComesNoMore Kind = "drift_comes_no_more"
	// Report is everything that has no kind of its own.
	Report Kind = "report"
)

// The kinds of what the process tells of itself.
const (
	Reloaded          Kind = "reloaded"
	ReloadRefused     Kind = "reload_refused"
	NeedsRestart      Kind = "needs_restart"
	ConfigurationFlaw Kind = "configuration_mistake"
	Panicked          Kind = "panicked"
	Stopped           Kind = "stopped"
)

// row says what a record with one message is.
type row struct {
	kind Kind
	// fills are the fields that attributes of this message fill, beside those of the
	// table fills.
	fills map[string]fill
}

// fill puts an attribute's value into a field.
type fill func(e *Event, value any)

// fills are the attributes that mean the same in every record.
var fills = map[string]fill{
	"instance":       func(e *Event, v any) { e.Instance = fmt.Sprint(v) },
	"virtual_server": func(e *Event, v any) { e.VirtualServer = fmt.Sprint(v) },
	"real_server":    func(e *Event, v any) { e.RealServer = fmt.Sprint(v) },
	"device":         fillDevice,
	"interface":      fillDevice,
	"why":            fillReason,
	"reason":         fillReason,
	"error":          fillReason,
}

func fillDevice(e *Event, v any) { e.Device = fmt.Sprint(v) }
func fillReason(e *Event, v any) { e.Reason = fmt.Sprint(v) }
func fillTo(e *Event, v any)     { e.To = fmt.Sprint(v) }

// byMessage is the kind of each message that an engine logs.
var byMessage = map[string]row{
	"vrrp state changed": {VRRPState, map[string]fill{
		"from": func(e *Event, v any) { e.From = strings.ToLower(fmt.Sprint(v)) },
		"to":   func(e *Event, v any) { e.To = strings.ToLower(fmt.Sprint(v)) },
	}},
	"vrrp advert not sent":                                              {kind: AdvertNotSent},
	"vrrp adverts are sent again":                                       {kind: AdvertSentAgain},
	"vrrp unicast peer not sent to":                                     {kind: PeerNotSentTo},
	"vrrp unicast peer is sent to again":                                {kind: PeerSentToAgain},
	"vrrp priority changed":                                             {PriorityChanged, map[string]fill{"from": func(e *Event, v any) { e.From = fmt.Sprint(v) }, "to": fillTo}},
	"vrrp advert of a lower master":                                     {kind: LowerMaster},
	"vrrp lower master is heard no more":                                {kind: LowerMasterGone},
	"vrrp timer ran late, listening again":                              {kind: TimerLate},
	"vrrp packet dropped":                                               {kind: AdvertDropped},
	"first check passed":                                                {kind: FirstCheckPassed},
	"data plane attached":                                               {DeviceAttached, map[string]fill{"hook": fillTo}},
	"pinned tables do not fit, starting with empty ones":                {kind: TablesBegunAnew},
	"drift repaired":                                                    {kind: DriftRepaired},
	"drift cannot be repaired, trying on":                               {kind: DriftNotRepaired},
	"drift comes again: another program may be changing what weir sets": {kind: DriftComesAgain},
	"more drifts of a kind than are told one by one":                    {kind: DriftNotTold},
	"drift is gone":                                                     {kind: DriftGone},
	"drift comes no more":                                               {kind: DriftComesNoMore},
}

// DirectorStarted says that the director runs.
func DirectorStarted(virtualServers, instances int) Event {
	return Event{Kind: Began, Message: "started", Details: []Detail{
		{"virtual_servers", virtualServers}, {"vrrp_instances", instances},
	}}
}

// SourceChanged says that an instance's advertisements come from another address now, since
// the interface has another one. Before is invalid where there was none.
func SourceChanged(instance, device string, before, now netip.Addr) Event {
	e := Event{
		Kind: SourceMoved, Instance: instance, Device: device, To: now.String(),
		Message: "vrrp adverts come from another address", Details: []Detail{{"instance", instance}, {"interface", device}},
	}
	if before.IsValid() {
		e.From = before.String()
		e.Details = append(e.Details, Detail{"from", before})
	}
	e.Details = append(e.Details, Detail{"to", now})
	return e
}

// SurroundingsChanged says that devices, addresses or routes of this machine have changed so
// that the data plane or the real server's side has to follow: what begins, and what ends.
func SurroundingsChanged(begins, ends []string) Event {
	e := Event{Kind: Followed, Message: "this machine's surroundings have changed"}
	for _, d := range []struct {
		name string
		list []string
	}{{"new", begins}, {"gone", ends}} {
		if len(d.list) > 0 {
			e.Details = append(e.Details, Detail{d.name, strings.Join(d.list, ", ")})
		}
	}
	return e
}

// NotFollowed says that something could not be done that a change of the surroundings asks
// for. It is tried again.
func NotFollowed(err error) Event {
	return failed(Event{Kind: FollowFailed, Level: slog.LevelError, Message: "follow this machine's surroundings, trying on"}, err)
}

// ServerUp says that a real server gets new connections again, or for the first time.
func ServerUp(virtualServer string, realServer netip.AddrPort) Event {
	e := ofServer(RealServerUp, virtualServer, realServer, "up")
	e.From, e.To = "down", "up"
	return e
}

// ServerDown says that a real server gets no new connections, since this many checks
// in a row have failed.
func ServerDown(virtualServer string, realServer netip.AddrPort, reason error, tries int) Event {
	e := ofServer(RealServerDown, virtualServer, realServer, "down")
	e.Level, e.From, e.To, e.Reason = slog.LevelWarn, "up", "down", reason.Error()
	e.Details = append(e.Details, Detail{"reason", reason.Error()}, Detail{"tries", tries})
	return e
}

// ServerWeight says that a real server's checks give it another weight, and why where an agent
// does.
func ServerWeight(virtualServer string, realServer netip.AddrPort, from, to int, why string) Event {
	e := Event{
		Kind: RealServerWeight, VirtualServer: virtualServer, RealServer: realServer.String(), Message: "weight of a real server",
		From: strconv.Itoa(from), To: strconv.Itoa(to), Reason: why,
		Details: []Detail{{"virtual_server", virtualServer}, {"real_server", realServer.String()}, {"from", from}, {"to", to}},
	}
	if why != "" {
		e.Details = append(e.Details, Detail{"why", why})
	}
	return e
}

// AgentSays says what a real server's agent has said by now that changes neither whether the
// server is in nor its weight, and what is amiss with the agent: the server stays as it is.
func AgentSays(virtualServer string, realServer netip.AddrPort, says, amiss string) Event {
	e := Event{
		Kind: RealServerAgent, VirtualServer: virtualServer, RealServer: realServer.String(), Message: "agent of a real server", Reason: amiss,
		Details: []Detail{{"virtual_server", virtualServer}, {"real_server", realServer.String()}, {"says", says}},
	}
	if amiss != "" {
		e.Level = slog.LevelWarn
		e.Details = append(e.Details, Detail{"amiss", amiss})
	}
	return e
}

// PeerLost says that a master has fallen silent, that this director takes its instance over,
// and how many real servers at its address are asked at once.
func PeerLost(instance string, peer netip.Addr, probed int) Event {
	return ofInstance(DirectorLost, slog.LevelWarn, instance, "the master is lost, its real servers are probed", Detail{"peer", peer}, Detail{"real_servers", probed})
}

// ServerAnswers says that a real server has passed the checks of a probe and gets new
// connections again: it was never down.
func ServerAnswers(virtualServer string, realServer netip.AddrPort) Event {
	return Event{
		Kind: RealServerAnswers, VirtualServer: virtualServer, RealServer: realServer.String(), Message: "real server answers the probe",
		Details: []Detail{{"virtual_server", virtualServer}, {"real_server", realServer.String()}},
	}
}

// ServerSilent says that clients got no answer to their last connections to a real server, how
// many these were, and that the server is asked at once.
func ServerSilent(virtualServer string, realServer netip.AddrPort, connections int) Event {
	return Event{
		Kind: RealServerSilent, VirtualServer: virtualServer, RealServer: realServer.String(), Level: slog.LevelWarn, Message: "real server answers no new connections, it is probed",
		Details: []Detail{{"virtual_server", virtualServer}, {"real_server", realServer.String()}, {"connections", connections}},
	}
}

// QuorumChanged says that a virtual server has gained or lost its quorum: the weight of its
// real servers that are in, and the bound that it has reached or fallen below.
func QuorumChanged(virtualServer string, up bool, weight, bound int) Event {
	e := Event{
		Kind: QuorumGained, VirtualServer: virtualServer, Message: "quorum gained", From: "down", To: "up",
		Details: []Detail{{"virtual_server", virtualServer}, {"weight", weight}, {"bound", bound}},
	}
	if !up {
		e.Kind, e.Level, e.Message, e.From, e.To = QuorumLost, slog.LevelWarn, "quorum lost", "up", "down"
	}
	return e
}

// SpareTierTurned says that a tier of spare servers takes part from now on, since fewer than so
// many servers of those before it are in, or that it rests again.
func SpareTierTurned(virtualServer string, tier int, takesPart bool, fewer int) Event {
	e := Event{Kind: SpareTierChanged, VirtualServer: virtualServer, Message: "spare real servers", From: "up", To: "down"}
	state := "resting"
	if takesPart {
		e.From, e.To, state = "down", "up", "serving"
	}
	e.Details = []Detail{{"virtual_server", virtualServer}, {"tier", tier}, {"fewer_than", fewer}, {"state", state}}
	return e
}

// ChecksFailHere says that this machine cannot make checks, of which check is the first,
// and what can be done: nothing is known of their servers, which stay as they are.
func ChecksFailHere(check string, reason error, remedy string) Event {
	return Event{
		Kind: ChecksNotMade, Level: slog.LevelError, Reason: reason.Error(), Message: "checks cannot be made: the trouble is this machine's, and no real server is taken out for it",
		Details: []Detail{{"check", check}, {"reason", reason.Error()}, {"remedy", remedy}},
	}
}

// ChecksGoOn says that this is over, and how many checks at once it was.
func ChecksGoOn(reason string, most int) Event {
	return Event{
		Kind: ChecksMadeAgain, Reason: reason, Message: "checks are made again",
		Details: []Detail{{"reason", reason}, {"checks", most}},
	}
}

func ofServer(kind Kind, virtualServer string, realServer netip.AddrPort, state string) Event {
	return Event{
		Kind: kind, VirtualServer: virtualServer, RealServer: realServer.String(), Message: "real server",
		Details: []Detail{{"virtual_server", virtualServer}, {"real_server", realServer.String()}, {"state", state}},
	}
}

// ofInstance is an event of a VRRP instance, whose name is the line's first attribute.
func ofInstance(kind Kind, level slog.Level, instance, message string, details ...Detail) Event {
	return Event{
		Kind: kind, Level: level, Instance: instance, Message: message,
		Details: append([]Detail{{"instance", instance}}, details...),
	}
}

// DirectorHeard says that the Ethernet address of another director was learned.
func DirectorHeard(instance string, peer netip.Addr, mac net.HardwareAddr) Event {
	return ofInstance(OtherDirector, slog.LevelInfo, instance, "another director", Detail{"peer", peer}, Detail{"mac", mac.String()})
}

// UnknownVRID says that an advertisement of a virtual router came that no instance of this
// interface is for.
func UnknownVRID(device string, vrid uint8, from netip.Addr) Event {
	return Event{
		Kind: VRIDUnknown, Level: slog.LevelInfo, Device: device, Message: "vrrp advert of an unknown virtual router",
		Details: []Detail{{"interface", device}, {"vrid", int(vrid)}, {"source", from}},
	}
}

// MasterResumed says that this process goes on as the master that the one before it was.
func MasterResumed(instance string) Event {
	return ofInstance(Resumed, slog.LevelInfo, instance, "lease still runs, going on as master")
}

// MasterHeldUp says that an instance was master and has left, because this process had sent no
// advertisement for so long that another director had to take over.
func MasterHeldUp(instance string, d time.Duration) Event {
	return ofInstance(HeldUp, slog.LevelWarn, instance, "this process was held up, the mastership is given up", Detail{"for", d.Round(time.Millisecond)})
}

// LocalServerSet says that this machine was set up as a real server for these VIPs.
func LocalServerSet(vips []netip.Addr) Event {
	return Event{Kind: LocalServer, Message: "this machine is a real server", Details: []Detail{{"vips", vips}}}
}

// LocalTunnelServerSet says that it was set up as one behind a tunnel.
func LocalTunnelServerSet(vips []netip.Addr) Event {
	return Event{Kind: LocalTunnelServer, Message: "this machine is a real server behind a tunnel", Details: []Detail{{"vips", vips}}}
}

// failed is an event that tells of an error, the line's last attribute.
func failed(e Event, err error) Event {
	e.Reason = err.Error()
	e.Details = append(e.Details, Detail{"error", err})
	return e
}

// PlaneSetFailed says that the data plane does not do what is wanted.
func PlaneSetFailed(err error) Event {
	return failed(Event{Kind: PlaneNotSet, Level: slog.LevelError, Message: "set the data plane"}, err)
}

// PutBackFailed says that a step of a reload that failed could not be put back.
func PutBackFailed(err error) Event {
	return failed(Event{Kind: NotPutBack, Level: slog.LevelError, Message: "put back what a reload had begun"}, err)
}

// VIPAddFailed says that a master could not add one of its VIPs.
func VIPAddFailed(instance string, vip netip.Prefix, device string, err error) Event {
	e := ofInstance(VIPNotAdded, slog.LevelError, instance, "add VIP", Detail{"vip", vip}, Detail{"device", device})
	e.Device = device
	return failed(e, err)
}

// VIPsAddFailed says that a master could not add VIPs of another configuration.
func VIPsAddFailed(instance string, err error) Event {
	return failed(ofInstance(VIPsNotAdded, slog.LevelError, instance, "add VIPs"), err)
}

// VIPsRemoveFailed says that an instance could not remove all VIPs that it has to.
func VIPsRemoveFailed(instance string, err error) Event {
	return failed(ofInstance(VIPsNotRemoved, slog.LevelError, instance, "remove VIPs"), err)
}

// VIPAnnounceFailed says that the neighbours could not be told of a VIP.
func VIPAnnounceFailed(instance string, vip netip.Addr, err error) Event {
	return failed(ofInstance(VIPNotAnnounced, slog.LevelWarn, instance, "announce VIP", Detail{"vip", vip}), err)
}

// OldVIPRemoved says that an earlier process, which died, had a VIP that no instance of
// the configuration has any more.
func OldVIPRemoved(vip netip.Prefix, device string) Event {
	return Event{
		Kind: OldVIP, Level: slog.LevelInfo, Device: device, Message: "removed a VIP that an earlier process left",
		Details: []Detail{{"vip", vip}, {"device", device}},
	}
}

// LeaseRenewFailed says that a master's services stop when its lease ends.
func LeaseRenewFailed(instance string, err error) Event {
	return failed(ofInstance(LeaseNotRenewed, slog.LevelError, instance, "renew the lease"), err)
}

// LeaseReleaseFailed says that an instance that is no longer master may forward until
// its lease ends.
func LeaseReleaseFailed(instance string, err error) Event {
	return failed(ofInstance(LeaseNotReleased, slog.LevelError, instance, "release the lease"), err)
}
