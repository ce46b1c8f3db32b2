package conf

import (
	"fmt"
	"slices"

	"weir/conf/text"
)

// Words of a vrrp_instance that keepalived drops or changes beside others: each is a
// warning, and what is left is as in keepalived (vrrp.c, vrrp_complete_instance).

// conflict is a word that another word of the instance undoes.
type conflict struct {
	is      bool
	keyword string
	code    string
	message string
	hint    string
	undo    func()
}

// say warns of the conflicts that there are, and undoes the words.
func (i *rawInstance) say(r *reader, conflicts []conflict) {
	for _, c := range conflicts {
		if c.is && i.Has(c.keyword) {
			r.warnAt(i.PlaceOf(c.keyword), c.code, c.message, c.hint)
			c.undo()
		}
	}
}

// resolveStrict holds the instance to strict mode, which it inherits.
func (i *rawInstance) resolveStrict(r *reader, g *Global) {
	if from(i, g, "strict_mode", "vrrp_strict", &i.Strict, g.Strict); !i.Strict {
		return
	}
	owner := i.Priority == ownerPriority
	const out = "take it out, or take out strict_mode or vrrp_strict"
	strict := func(is bool, keyword, message string, undo func()) conflict {
		return conflict{is, keyword, "strict", message, out, undo}
	}
	state := Backup
	if owner {
		state = Master
	}
	i.say(r, []conflict{
		strict(i.State != state, "state", fmt.Sprintf("strict mode: only priority 255 begins as MASTER; the instance begins as %s", state), func() { i.State = state }),
		strict(i.Auth.Type != AuthNone && i.Auth.Type != "", "auth_type", "strict mode has no authentication: it is ignored", func() { i.Auth = Auth{Type: AuthNone} }),
		strict(i.VMAC.MAC != "", "use_vmac", "strict mode has no MAC address of its own for use_vmac: it is ignored", func() { i.VMAC.MAC = "" }),
		strict(i.PreemptDelay != 0, "preempt_delay", "preempt_delay has no effect in strict mode", func() { i.PreemptDelay = 0 }),
		strict(i.DownTimerAdverts != defaultDownTimer, "down_timer_adverts", "down_timer_adverts is 3 in strict mode", func() { i.DownTimerAdverts = defaultDownTimer }),
		strict(i.Accept && !owner && i.Version == 2, "accept", "accept has no effect in strict mode with version 2", func() { i.Accept = false }),
		strict(i.GARPLowerRepeat != 0, "garp_lower_prio_repeat", "garp_lower_prio_repeat is 0 in strict mode", func() {}),
		strict(i.GARPLowerDelay != 0, "garp_lower_prio_delay", "garp_lower_prio_delay is 0 in strict mode", func() {}),
		strict(!i.LowerPrioNoAdvert, "lower_prio_no_advert", "lower_prio_no_advert is on in strict mode", func() { i.LowerPrioNoAdvert = true }),
		strict(i.HigherPrioSendAdvert, "higher_prio_send_advert", "higher_prio_send_advert is off in strict mode", func() { i.HigherPrioSendAdvert = false }),
	})
	if !i.Has("accept") && !i.Has("no_accept") && !owner {
		i.Accept = false
	}
	if len(i.Peers) > 0 {
		r.errorAt(i.PlaceOf("unicast_peer"), "strict mode has no unicast advertisements", "take out unicast_peer, or strict_mode or vrrp_strict")
	}
	if i.noVIPs || i.NoVIPs {
		i.noVIPs = false
		r.errorAt(i.head.All(), i.head.Title()+" has no virtual address, which strict mode needs", "expected virtual_ipaddress { IP }")
	}
}

// defaultDownTimer is how many advertisements are missed before a standby takes over.
const defaultDownTimer = 3

// checkConflicts finds the words that have no effect beside the others.
func (i *rawInstance) checkConflicts(r *reader) {
	owner := i.Priority == ownerPriority
	none := func(is bool, keyword, message, hint string, undo func()) conflict {
		return conflict{is, keyword, "no-effect", message, hint, undo}
	}
	i.say(r, []conflict{
		none(i.TimerExpiredBackup != 0 && !i.NoPreempt, "timer_expired_backup", "timer_expired_backup has no effect without nopreempt", "write nopreempt, or take it out", func() { i.TimerExpiredBackup = 0 }),
		none(i.OwnerIgnoreAdverts && !owner && i.ownsWord("owner_ignore_adverts"), "owner_ignore_adverts", "owner_ignore_adverts has no effect without priority 255", "take it out", func() {}),
		none(len(i.Peers) > 0 && i.ownsWord("mcast_dst_ip"), "mcast_dst_ip", "mcast_dst_ip has no effect beside unicast_peer", "take one of them out", func() {}),
		none(i.VMAC.On && i.IPVLAN.On, "use_vmac", "use_vmac has no effect beside use_ipvlan: the kernel has devices of one kind over an interface", "take one of them out", func() { i.VMAC, i.VMACXmitBase = Macvlan{}, false }),
		none(i.VRF != "" && i.Interface == "" && len(i.Peers) == 0, "vrf", "vrf has no effect without unicast_peer", "take it out", func() { i.VRF = "" }),
	})
	if !owner {
		i.OwnerIgnoreAdverts = false
	}
	if i.IPVLAN.On && !i.ipv6() && len(i.vips) > 0 && !i.IPVLAN.Addr.IsValid() && i.Has("use_ipvlan") {
		r.warnAt(i.PlaceOf("use_ipvlan"), "no-effect", "use_ipvlan has no address: the instance stays in FAULT", "write use_ipvlan ... IP")
	}
	i.checkOwnInterface(r)
}

// ownsWord tells whether the instance itself has a keyword, rather than global_defs.
func (i *rawInstance) ownsWord(keyword string) bool {
	return len(statementsOf(i.head.Block, keyword)) > 0
}

// checkOwnInterface warns where an instance tracks the interface that it is on.
func (i *rawInstance) checkOwnInterface(r *reader) {
	i.Interfaces = slices.DeleteFunc(i.Interfaces, func(t Track) bool {
		own := t.Name == i.Interface && t.Name != ""
		if own {
			r.warnAt(t.at, "track-own-interface", fmt.Sprintf("%s is the instance's own interface: it is tracked anyway", text.Shorten(t.Name)), "take it out, and its weight")
		}
		return own
	})
}

// membership is which sync group an instance is in.
type membership struct {
	group *SyncGroup
	at    text.Place
}

// resolveGroups takes each instance into one group, and the weights out of what its
// members track.
func resolveGroups(r *reader, raw *rawConfig) {
	in := map[string]membership{}
	for _, g := range raw.sync {
		r.diags.Now = g.PlaceOf("group")
		n := -1
		g.Members = slices.DeleteFunc(g.Members, func(name string) bool {
			n++
			before, taken := in[name]
			if taken {
				r.warnAt(g.listed(n), "listed-twice", fmt.Sprintf("%s is in vrrp_sync_group %s already: this one does not count", text.Shorten(name), text.Shorten(before.group.Name)),
					"take one of them out", "first given at "+before.at.String())
				return true
			}
			in[name] = membership{g, g.listed(n)}
			return false
		})
		if len(g.Members) == 1 && n > 0 {
			r.warnAt(g.PlaceOf("group"), "sync-group-single", syncSingle, "expected at least two")
		}
	}
	for _, g := range raw.sync {
		from(g, &raw.global, "smtp_alert", "smtp_alert_vrrp", &g.SMTPAlert, raw.global.SMTPAlertVRRP)
		raw.join(g)
	}
	for _, i := range raw.instances {
		m := in[i.Name]
		switch {
		case m.group != nil && !m.group.TrackingWeight:
			i.unweigh(r, raw, "in a vrrp_sync_group")
		case i.Priority == ownerPriority:
			i.unweigh(r, raw, "with priority 255")
		}
	}
}

// join gives the members of a group what they have from it. They begin as backup, unless
// all of them own their addresses: none becomes master before the others can.
func (raw *rawConfig) join(g *SyncGroup) {
	var members []*rawInstance
	owners := true
	for _, i := range raw.instances {
		if slices.Contains(g.Members, i.Name) {
			members = append(members, i)
			owners = owners && i.State == Master && i.Priority == ownerPriority
		}
	}
	for _, i := range members {
		if !owners {
			i.State = Backup
		}
		if g.Has("notify_priority_changes") && i.PlaceOf("notify_priority_changes") == raw.global.PlaceOf("vrrp_notify_priority_changes") {
			i.PriorityChanges = g.PriorityChanges
			i.note("notify_priority_changes", g.PlaceOf("notify_priority_changes"))
		}
	}
}

// unweigh drops what the instance tracks with a weight, which is of no use.
func (i *rawInstance) unweigh(r *reader, raw *rawConfig, where string) {
	say := func(t Track, how string) {
		r.warnAt(t.at, "weight-ignored", fmt.Sprintf("%s %s", text.Shorten(t.Name), fmt.Sprintf(how, where)), "write weight 0, or take it out")
	}
	i.Interfaces = slices.DeleteFunc(i.Interfaces, func(t Track) bool {
		if t.Weight != 0 {
			say(t, "is not tracked with its weight %s")
		}
		return t.Weight != 0 && i.Priority == ownerPriority
	})
	for n := range i.Interfaces {
		i.Interfaces[n].Weight = 0
	}
	weights := raw.weights()
	drop := func(kind string, list []Track) []Track {
		return slices.DeleteFunc(list, func(t Track) bool {
			w, known := weights[[2]string{kind, t.Name}]
			if t.HasWeight {
				w, known = t.Weight, true
			}
			if known && w != 0 {
				say(t, "has a weight: it is not tracked %s")
			}
			return known && w != 0
		})
	}
	i.Scripts = drop("vrrp_script", i.Scripts)
	i.BFDs = drop("bfd_instance", i.BFDs)
	for n, t := range i.Files {
		if w, known := weights[[2]string{"track_file", t.Name}]; known && !t.HasWeight && w == 1 {
			say(t, "has the weight 1: it is tracked with weight 0 %s")
			i.Files[n].Weight, i.Files[n].HasWeight = 0, true
		}
	}
	i.Files = drop("track_file", i.Files)
}

// weights are those of the trackers, by keyword and name.
func (c *rawConfig) weights() map[[2]string]int {
	if c.weighed == nil {
		c.weighed = map[[2]string]int{}
		for _, s := range c.scripts {
			c.weighed[[2]string{"vrrp_script", s.Name}] = s.Weight
		}
		for _, f := range c.files {
			c.weighed[[2]string{"track_file", f.Name}] = f.Weight
		}
		for _, b := range c.bfds {
			c.weighed[[2]string{"bfd_instance", b.Name}] = b.Weight
		}
	}
	return c.weighed
}
