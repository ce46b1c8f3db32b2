package notify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/conf"
	"weir/internal/cluster"
)

// instance is a VRRP instance, or a sync group, as it was told of last.
type instance struct {
	cfg   conf.VRRPInstance
	state string // MASTER, BACKUP or FAULT; empty before the first
	// priority is the effective one, with the weights of trackers.
	priority int
	// mailed is the state that the last mail told of.
	mailed string
}

// group is a vrrp_sync_group.
type group struct {
	cfg    *conf.SyncGroup
	state  string
	mailed string
}

// The states as programs, FIFOs and mails have them.
const (
	master, backup, fault, stop, deleted = "MASTER", "BACKUP", "FAULT", "STOP", "DELETED"
)

// takeInstances takes up the instances and groups of a configuration.
func (n *Notifier) takeInstances(cfg *conf.Config) {
	instances, groups := map[string]*instance{}, map[string]*group{}
	n.order.instances, n.order.groups = nil, nil
	for _, c := range cfg.VRRPInstances {
		i := &instance{cfg: c, priority: int(c.Priority)}
		if was := n.instances[c.Name]; was != nil {
			i.state, i.mailed, i.priority = was.state, was.mailed, was.priority
		}
		instances[c.Name] = i
		n.order.instances = append(n.order.instances, c.Name)
	}
	for _, c := range cfg.SyncGroups {
		g := &group{cfg: c}
		if was := n.groups[c.Name]; was != nil {
			g.state, g.mailed = was.state, was.mailed
		}
		groups[c.Name] = g
		n.order.groups = append(n.order.groups, c.Name)
	}
	n.instances, n.groups = instances, groups
}

// stateChanged tells that an instance has entered a state, and its sync group, once all of
// its members have.
func (n *Notifier) stateChanged(e cluster.Event) {
	i := n.instances[e.Instance]
	state := strings.ToUpper(e.To)
	if i == nil || state != master && state != backup && state != fault {
		return // INIT is the end, which is told once for all
	}
	i.state = state
	n.tellInstance(i, state)
	for _, name := range n.order.groups {
		g := n.groups[name]
		if !slices.Contains(g.cfg.Members, e.Instance) || g.state == state {
			continue
		}
		all := !slices.ContainsFunc(g.cfg.Members, func(m string) bool { return n.instances[m] == nil || n.instances[m].state != state })
		if all {
			g.state = state
			n.tellGroup(g, state)
		}
	}
}

// scriptOf is the program for a state.
func scriptOf(c *conf.Notify, state string) conf.Script {
	switch state {
	case master:
		return c.OnMaster
	case backup:
		return c.OnBackup
	case fault:
		return c.OnFault
	case stop:
		return c.OnStop
	}
	return conf.Script{}
}

// tellInstance tells of an instance's state.
func (n *Notifier) tellInstance(i *instance, state string) {
	priority := fmt.Sprint(i.priority)
	own := scriptOf(&i.cfg.Notify, state)
	if state == deleted {
		own = i.cfg.NotifyDeleted
		if !i.cfg.WantsNotifyDeleted {
			state = fault // as keepalived did before it had the word, without notify_fault
		}
	}
	o := occasion{
		subject: "INSTANCE " + i.cfg.Name,
		scripts: []command{{Script: own}, {i.cfg.OnAny, []string{"INSTANCE", i.cfg.Name, state, priority}}},
		line:    vrrpLine("INSTANCE", i.cfg.Name, state, priority),
	}
	if n.mailsState(i.cfg.SMTPAlert, state, &i.mailed) {
		o.mail = &mail{subject: "VRRP Instance " + i.cfg.Name + " - " + entering(state), body: instanceBodies[state]}
	}
	n.tell(o)
}

// tellGroup tells of a sync group's state.
func (n *Notifier) tellGroup(g *group, state string) {
	o := occasion{
		subject: "GROUP " + g.cfg.Name,
		scripts: []command{{Script: scriptOf(&g.cfg.Notify, state)}, {g.cfg.OnAny, []string{"GROUP", g.cfg.Name, state, "0"}}},
		line:    vrrpLine("GROUP", g.cfg.Name, state, "0"),
	}
	alert := g.cfg.SMTPAlert
	if !g.cfg.Has("smtp_alert") {
		alert = n.cfg.Global.SMTPAlertVRRP
	}
	if n.mailsState(alert, state, &g.mailed) {
		o.mail = &mail{subject: "VRRP Group " + g.cfg.Name + " - " + entering(state), body: groupBody(state)}
	}
	n.tell(o)
}

// mailsState says whether there is a mail about a state, and notes that there was.
func (n *Notifier) mailsState(alert bool, state string, mailed *string) bool {
	if !alert || state == fault && n.cfg.Global.NoEmailFaults || *mailed == state {
		return false
	}
	*mailed = state
	return true
}

// entering is the end of a mail's subject.
func entering(state string) string {
	switch state {
	case stop:
		return "Stopping"
	case deleted:
		return "Deleted"
	}
	return "Entering " + state + " state"
}

var instanceBodies = map[string]string{
	master:  "=> VRRP Instance is now owning VRRP VIPs <=",
	backup:  "=> VRRP Instance is no longer owning VRRP VIPs <=",
	fault:   "=> VRRP Instance is no longer owning VRRP VIPs <=",
	stop:    "=> VRRP Instance stopping <=",
	deleted: "=> VRRP Deleted at reload <=",
}

func groupBody(state string) string {
	if state == stop {
		return "=> All VRRP group instances are now stopping <="
	}
	return "=> All VRRP group instances are now in " + state + " state <="
}

// vrrpLine is a FIFO's line.
func vrrpLine(kind, name, state, priority string) string {
	return fmt.Sprintf("%s \"%s\" %s %s", kind, name, state, priority)
}

// lowerMaster tells that a master has heard one of lower priority.
func (n *Notifier) lowerMaster(e cluster.Event) {
	if i := n.instances[e.Instance]; i != nil {
		n.tell(occasion{
			subject: "INSTANCE " + i.cfg.Name,
			scripts: []command{{Script: i.cfg.NotifyMasterRX}},
			line:    vrrpLine("INSTANCE", i.cfg.Name, "MASTER_RX_LOWER_PRI", fmt.Sprint(i.priority)),
		})
	}
}

// priorityChanged tells that trackers have changed a priority.
func (n *Notifier) priorityChanged(e cluster.Event) {
	if i := n.instances[e.Instance]; i != nil {
		if priority, err := strconv.Atoi(e.To); err == nil {
			n.tellPriority(i, priority)
		}
	}
}

// tellPriorities tells of priorities that another configuration changes, where no trackers
// do, too: of those an event tells.
func (n *Notifier) tellPriorities(was subjects) {
	for _, name := range n.order.instances {
		i, old := n.instances[name], was.instances[name]
		if old != nil && i.priority == int(old.cfg.Priority) {
			n.tellPriority(i, int(i.cfg.Priority))
		}
	}
}

// tellPriority tells of another priority. An instance that is no master is a backup there.
func (n *Notifier) tellPriority(i *instance, priority int) {
	if i.priority == priority {
		return
	}
	i.priority = priority
	if !i.cfg.PriorityChanges || i.state == "" {
		return
	}
	word := "BACKUP_PRIORITY"
	if i.state == master {
		word = "MASTER_PRIORITY"
	}
	n.tell(occasion{subject: "INSTANCE " + i.cfg.Name, line: vrrpLine("INSTANCE", i.cfg.Name, word, fmt.Sprint(priority))})
}

// repeatStates writes the states again after a reload, where the configuration says so.
func (n *Notifier) repeatStates() {
	if !n.cfg.Global.FIFOOnReload {
		return
	}
	for _, name := range n.order.instances {
		if i := n.instances[name]; i.state != "" {
			n.tell(occasion{line: vrrpLine("INSTANCE", name, i.state, fmt.Sprint(i.priority))})
		}
	}
	for _, name := range n.order.groups {
		if g := n.groups[name]; g.state != "" {
			n.tell(occasion{line: vrrpLine("GROUP", name, g.state, "0")})
		}
	}
}

// stopInstances tells that all instances stop, and then all groups.
func (n *Notifier) stopInstances() {
	for _, name := range n.order.instances {
		i := n.instances[name]
		n.tellInstance(i, stop)
	}
	for _, name := range n.order.groups {
		n.tellGroup(n.groups[name], stop)
	}
}
