package conf

import (
	"fmt"
	"slices"

	"weir/conf/text"
	"weir/lvs"
)

// Weir is the weir block: what keepalived.conf has no words for. A keepalived
// that reads the file takes each word of it for an unknown one, so that none may
// be a word that keepalived knows outside any block.
type Weir struct {
	given
	// Devices are in the order of the file.
	Devices []Device `json:"device"`
	// Excluded are devices that the data plane leaves alone.
	Excluded []string `json:"interfaces_exclude"`
	// Marks give packets their marks: the first that fits.
	Marks []lvs.MarkRule `json:"mark"`
	// Deny are clients that no service serves, and Allow are exceptions of that.
	Deny     []lvs.AccessRule `json:"deny"`
	Allow    []lvs.AccessRule `json:"allow"`
	Tables   Tables           `json:"tables"`
	Timeouts Timeouts         `json:"timeouts"`
	// PeerProbe asks the real servers at the addresses of a director that is lost.
	PeerProbe bool `json:"peer_probe"`
	// Verify is the file of the authorities whose certificates SSL_GET takes from servers,
	// or SystemAuthorities; empty takes any certificate.
	Verify string `json:"verify_certificates"`
	// Silence are kinds of warnings that are not wanted.
	Silence []string `json:"silence"`
	// Rules are those of every service that has none of its own.
	Rules
}

// SystemAuthorities stands for the authorities that this system trusts.
const SystemAuthorities = "system"

// Device is a device of the weir block.
type Device struct {
	given
	Name string   `json:"device"`
	Hook lvs.Hook `json:"hook"`
}

// Tables are the sizes of the data plane's tables, in entries.
type Tables struct {
	given
	Connections int `json:"connections"`
	Templates   int `json:"templates"`
	Services    int `json:"services"`
	Servers     int `json:"servers"`
}

// rawWeir is the weir block as it is written.
type rawWeir struct {
	Weir
	order    []*rawDevice
	devices  map[string]*rawDevice
	services []*rawRules
	vrrp     rawVRRPs
}

// rawDevice is a device as it is written.
type rawDevice struct {
	Device
	head *text.Statement
}

// weirBlock is the table of the weir block.
func weirBlock() *blockSpec {
	type W = rawWeir
	devices := section("device", deviceBlock(), "a device whose packets the data plane sees", deviceHead)
	devices.optional = true
	entries := []*entry{
		devices,
		repeatable(many("interfaces_exclude", device(), func(w *W) *[]string { return &w.Excluded }, "devices whose packets the data plane never sees; it is on all others by which clients may come", example("docker0", "docker0 wg0"))),
		{name: "mark", read: readMark, expects: markWords, help: "give a mark to the packets of new connections, for virtual_server fwmark; the first that fits counts"},
		{name: "deny", read: readDeny, expects: accessWords("deny"), help: "serve no client of a network: its packets to services are dropped, and its connections ended; the longest prefix that matches counts, and deny before allow where two are equal"},
		{name: "allow", read: readAllow, expects: accessWords("allow"), help: "serve clients of a network nevertheless, inside of a larger one that deny names"},
		present("peer_probe", func(w *W) *bool { return &w.PeerProbe }, "when the master falls silent and this director takes over, the real servers at the addresses that its adverts came from get no new connections until they pass their checks at once, within a second; those without a check stay in"),
		optional("verify_certificates", nonEmpty("a path"), SystemAuthorities, func(w *W) *string { return &w.Verify }, "SSL_GET takes a server for down whose certificate is not signed by an authority of this file (PEM), without one by those of the system, or is not for sni_name or else virtualhost", otherwise("any certificate is taken")),
		repeatable(many("silence", remarkCode(), func(w *W) *[]string { return &w.Silence }, "kinds of warnings that weir does not give for this file")),
		always(section("tables", tablesBlock(), "the sizes of the data plane's tables", plain(func(w *W) *Tables { return &w.Tables })), func(w *W) *Tables { return &w.Tables }),
		always(section("timeouts", timeoutsBlock(), "how long a connection lives in each state after its last packet", plain(func(w *W) *Timeouts { return &w.Timeouts })), func(w *W) *Timeouts { return &w.Timeouts }),
		section("service", rulesBlock(), "the same rules for one virtual_server, and what goes beyond keepalived", rulesHead),
		section("vrrp", ownVRRPBlock(), "what goes beyond keepalived for one vrrp_instance", func(r *reader, st *text.Statement, w *W) *rawVRRP { return w.vrrp.begin(r, st) }),
	}
	return &blockSpec{name: "weir", entries: append(entries, ruleEntries(func(w *W) *Rules { return &w.Rules })...)}
}

// deviceBlock is the table of device.
func deviceBlock() *blockSpec {
	return &blockSpec{name: "device", entries: []*entry{
		value("hook", oneOf(choice[lvs.Hook]{noun: "hook", known: []named[lvs.Hook]{
			{"auto", lvs.HookAuto}, {"native", lvs.HookNative}, {"generic", lvs.HookGeneric}, {"tc", lvs.HookTC},
		}}), func(d *rawDevice) *lvs.Hook { return &d.Hook },
			"where the data plane meets the packets: XDP in the driver (native) or after it (generic), or tc; auto is native on real cards and virtio, unless packets leave by a device to which XDP cannot send, and tc elsewhere",
			initially(lvs.HookAuto)),
	}}
}

// deviceHead makes the device that device NAME begins.
func deviceHead(r *reader, st *text.Statement, w *rawWeir) *rawDevice {
	name, ok := one(r, st, device())
	if !ok {
		return nil
	}
	if d := w.devices[name]; d != nil {
		r.errorAt(st.All(), fmt.Sprintf("device %s is given twice", name), "take one of them out", "first given at "+d.head.Place().String())
		return nil
	}
	d := &rawDevice{head: st, Device: Device{Name: name}}
	w.order, w.devices[name] = append(w.order, d), d
	return d
}

// tablesBlock is the table of tables.
func tablesBlock() *blockSpec {
	type T = Tables
	return &blockSpec{name: "tables", entries: []*entry{
		value("connections", number(1024, 1<<26), func(t *T) *int { return &t.Connections }, "the most connections there is room for, some 300 bytes each; the tables begin with room for 65536 and grow while weir runs, as weir show tables tells", initially(1<<20), reloads(Restart)),
		value("templates", number(1024, 1<<26), func(t *T) *int { return &t.Templates }, "the room for persistence templates", initially(1<<18), reloads(Restart)),
		value("services", number(16, 1<<16), func(t *T) *int { return &t.Services }, "the room for services", initially(4096), reloads(Restart)),
		value("servers", number(16, 1<<20), func(t *T) *int { return &t.Servers }, "the room for real servers of all services", initially(65536), reloads(Restart)),
	}}
}

func (w *rawWeir) resolve(g *Global) Weir {
	for _, d := range w.order {
		w.Devices = append(w.Devices, d.Device)
	}
	w.Timeouts.take(g)
	return w.Weir
}

// resolveExcluded refuses a device that is to be used by a hook and left out.
func (w *rawWeir) resolveExcluded(r *reader) {
	for _, d := range w.order {
		if slices.Contains(w.Excluded, d.Name) {
			r.errorAt(d.head.All(), fmt.Sprintf("device %s is in interfaces_exclude, too", d.Name), "take it out of one of the two")
		}
	}
}
