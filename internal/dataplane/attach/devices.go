package attach

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"weir/internal/dataplane/abi"
	"weir/internal/dataplane/kmap"
	"weir/internal/netlnk"
	"weir/lvs"
)

// device is a network device that the data plane is attached to.
type device struct {
	name     string
	index    int
	mac      net.HardwareAddr
	wanted   lvs.Hook // as asked for
	hook     lvs.Hook // as it is
	why      string
	avoid    string      // why native XDP must not be chosen, or loses packets
	refused  string      // why native XDP was refused; "" where it was not tried
	software bool        // it is no card: auto never takes XDP
	trunk    bool        // VLANs on it have devices of their own
	egress   *attachment // nil on a device without Ethernet
	ingress  *attachment // nil on lo
	// behind gets what an ingress at XDP leaves to tc; else nil.
	behind *attachment
}

// attachments are its programs.
func (d *device) attachments() []*attachment {
	return slices.DeleteFunc([]*attachment{d.egress, d.ingress, d.behind}, func(h *attachment) bool { return h == nil })
}

func (d *device) close() {
	for _, h := range d.attachments() {
		h.close()
	}
}

// Attachment tells where the data plane meets a device's packets, and why there.
type Attachment struct {
	Device string
	Hook   lvs.Hook
	Why    string
}

// Attachments lists the devices that the data plane is attached to, beside lo.
func (a *Devices) Attachments() (list []Attachment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.by {
		if d.hook != hookEgress {
			list = append(list, Attachment{d.name, d.hook, d.why})
		}
	}
	return list
}

// Set attaches to the devices that are asked for, and to lo if there are any, and to no
// other. Packets leave by the exits, on which the choice of hooks depends. What cannot be
// attached to is said in one error; then nothing is detached.
func (a *Devices) Set(asked Wanted, exits Exits) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.exits = asked, exits
	a.spare(false)
	a.look()
	return a.setDevices()
}

// Settled says whether no program is on a device but those that were last asked for.
func (a *Devices) Settled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled
}

// Ahead begins to load the programs of the first Set, so that the kernel verifies them while the
// caller does something else. It leaves out those that depend on the exits.
func (a *Devices) Ahead(asked Wanted) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.by) > 0 {
		return
	}
	a.asked = asked
	a.look()
	a.spare(true)
	if len(a.want) > 0 && (a.tail.program == 0 || a.older && a.tail.adopted) {
		a.loadAhead(programKey{name: abi.BpfProgWeirLocalOut})
	}
	for _, w := range a.want {
		l, err := netlnk.LinkByName(w.Name)
		if err != nil || w.Hook == hookEgress {
			continue
		}
		if sure := choices(w.Hook, l, ""); len(sure) == 1 {
			a.loadAhead(a.ingressKeys(l, sure[0].hook)...)
		}
	}
}

// ingressKeys are the programs of a device at a hook: its ingress, and what is behind it.
func (a *Devices) ingressKeys(l netlnk.Link, hook lvs.Hook) []programKey {
	trunk := a.trunks[l.Index]
	switch {
	case hook != lvs.HookTC:
		mac := abi.MACWord(l.MAC)
		return []programKey{{abi.BpfProgWeirXdp, mac, trunk}, {abi.BpfProgWeirBehind, mac, trunk}}
	case l.Layer3: // the kernel tells whose a packet is
		return []programKey{{name: abi.BpfProgWeirTcL3, trunk: trunk}}
	}
	return []programKey{{name: abi.BpfProgWeirTc, trunk: trunk}}
}

// setDevices attaches to the wanted devices and to no other. What an earlier process
// left attached is replaced without a gap.
func (a *Devices) setDevices() (err error) {
	defer func() { a.settled = err == nil }()
	if err := a.attachAll(); err != nil { // what is attached stays rather than leave a device bare
		return err
	}
	if a.older && a.tail.adopted { // last: then answers to what it begins come to programs that know it
		if err := a.setTail(); err != nil {
			return err
		}
	}
	keep, wanted := map[string]bool{}, map[string]bool{}
	for _, w := range a.want {
		d := a.by[w.Name]
		if d == nil { // one of those that nobody named
			continue
		}
		wanted[w.Name] = true
		keep[filepath.Base(a.ingressPin(d.index, d.hook))] = true
		keep[filepath.Base(a.egressPin(d.index))] = true
		keep[filepath.Base(a.behindPin(d.index))] = d.behind != nil
	}
	for name, d := range a.by {
		if !wanted[name] { // by its name: one that has another name now is there twice
			d.close()
			delete(a.by, name)
		}
	}
	a.dropPrograms()
	a.dropLoading()
	a.closeLeft()
	a.noteFailure(abi.BpfVarFarEnds, a.followFarEnds()) // packets go the ordinary way then
	return a.unpinOthers(keep)
}

// attachAll attaches to each wanted device at the hook that is chosen for it. Once a
// program is attached, the kernel may have refused native XDP, or the device may tell
// that it sends nothing for XDP: then the choice is made again.
func (a *Devices) attachAll() error {
	for round := 0; ; round++ {
		avoid, sends := a.chosen()
		if a.older && !a.settled && len(a.want) > 0 {
			a.replaceOlder(avoid)
		}
		errs := []error{a.forbidSending(sends)}
		for _, w := range a.want {
			_, err := a.setDevice(w, avoid[w.Name])
			switch {
			case a.found[w.Name]:
				a.noteUnfit(w.Name, err)
			case err != nil:
				errs = append(errs, fmt.Errorf("device %s: %w", w.Name, err))
			}
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		again, sends := a.chosen()
		if round > len(a.want) || maps.Equal(avoid, again) {
			return a.allowSending(sends)
		}
	}
}

// replaceOlder prepares that the programs of an older build are replaced. While some devices have
// those and others have not, answers to a new connection may come by one that does not know it. So
// the devices that lead to servers are the first, which know the connections of both; and all
// programs are loaded before, which takes seconds. What cannot be loaded is told of where it is
// attached.
func (a *Devices) replaceOlder(avoid map[string]string) {
	keys := []programKey{{name: abi.BpfProgWeirLocalOut}, {name: abi.BpfProgWeirEgress}}
	leads := map[string]int{}
	for _, w := range a.want {
		l, err := netlnk.LinkByName(w.Name)
		if err != nil || w.Hook == hookEgress || unfit(w.Hook, l) != nil {
			continue
		}
		if slices.Contains(a.exits, l.Index) {
			leads[w.Name] = -1
		}
		for _, key := range a.ingressKeys(l, choices(w.Hook, l, avoid[w.Name])[0].hook) {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	a.loadAhead(keys...)
	for _, key := range keys {
		if _, err := a.program(key); err != nil {
			a.log.Debug("load a program ahead of its device", "program", key.name, "error", err)
		}
	}
	slices.SortStableFunc(a.want, func(x, y lvs.Device) int { return leads[x.Name] - leads[y.Name] })
}

// setDevice attaches to a device; avoid says why native XDP must not be chosen there.
func (a *Devices) setDevice(w lvs.Device, avoid string) (*device, error) {
	l, err := netlnk.LinkByName(w.Name)
	if err != nil {
		return nil, err
	}
	old := a.by[w.Name]
	same := old != nil && old.index == l.Index && old.wanted == w.Hook && bytes.Equal(old.mac, l.MAC)
	trunk := a.trunks[l.Index]
	if same && old.trunk == trunk && (old.avoid == "") == (avoid == "") {
		if old.avoid != avoid {
			old.explain(l, avoid)
		}
		return old, nil
	}
	d := &device{name: w.Name, index: l.Index, mac: l.MAC, wanted: w.Hook, avoid: avoid, trunk: trunk, software: software(l)}
	if same {
		d.refused = old.refused
	}
	if old != nil {
		old.close()
		delete(a.by, w.Name)
	}
	if err := a.attach(d, l); err != nil {
		return nil, err
	}
	a.by[w.Name] = d
	switch {
	case d.hook == hookEgress:
	case isXDP(d.hook) && (avoid != "" || d.software && d.hook == lvs.HookNative):
		a.log.Warn("data plane attached", "device", d.name, "hook", string(d.hook), "why", d.why)
	default:
		a.log.Info("data plane attached", "device", d.name, "hook", string(d.hook), "why", d.why)
	}
	return d, nil
}

// explain takes another reason for the hook that the device has.
func (d *device) explain(l netlnk.Link, avoid string) {
	d.avoid = avoid
	for _, c := range choices(d.wanted, l, avoid) {
		if c.hook == d.hook {
			d.why = c.why
		}
	}
}

// attach puts the programs on the device: the one at egress first, then the ingress
// at the place that was asked for, or, on auto, at the best that works.
func (a *Devices) attach(d *device, l netlnk.Link) (err error) {
	if err := unfit(d.wanted, l); err != nil {
		return err
	}
	if err := a.takeOffLeft(d.name, d.index); err != nil {
		return err
	}
	if !l.Layer3 {
		if d.egress, err = a.attachEgress(d.index); err != nil {
			return fmt.Errorf("attach the program at egress: %w", err)
		}
	}
	if d.wanted == hookEgress {
		d.hook = hookEgress
		return nil
	}
	var refused error
	for _, c := range choices(d.wanted, l, d.avoid) {
		if d.ingress, err = a.attachIngress(l, c.hook); err == nil {
			d.hook, d.why = c.hook, c.why
			if err := a.attachBehind(d, l); err != nil {
				d.close()
				return fmt.Errorf("attach the program behind it: %w", err)
			}
			if err := a.leaveOthers(d); err != nil {
				d.close()
				return err
			}
			if refused != nil {
				d.refused = refused.Error()
				d.why = fmt.Sprintf("%s (%v)", c.why, refused)
			}
			return nil
		}
		refused = fmt.Errorf("%s refused: %w", c.hook, withRemedy(err))
	}
	d.close()
	return refused
}

func (a *Devices) ingressPin(index int, hook lvs.Hook) string {
	return filepath.Join(a.pinDir, fmt.Sprintf("ingress_%d_%s", index, hook))
}

func (a *Devices) egressPin(index int) string {
	return filepath.Join(a.pinDir, fmt.Sprintf("egress_%d", index))
}

func (a *Devices) behindPin(index int) string {
	return filepath.Join(a.pinDir, fmt.Sprintf("behind_%d", index))
}

// attachBehind puts a program at tc behind one at XDP.
func (a *Devices) attachBehind(d *device, l netlnk.Link) error {
	keys := a.ingressKeys(l, d.hook)
	if len(keys) == 1 {
		return nil
	}
	program, err := a.program(keys[1])
	if err != nil {
		return err
	}
	d.behind, err = a.attachTC(a.behindPin(d.index), program, d.index, ebpf.AttachTCXIngress)
	return err
}

// attachEgress attaches the same program to all devices: at egress a frame's Ethernet
// addresses are not compared with the device's.
func (a *Devices) attachEgress(index int) (*attachment, error) {
	if a.tail.program == 0 {
		if err := a.setTail(); err != nil {
			return nil, err
		}
	}
	program, err := a.program(programKey{name: abi.BpfProgWeirEgress})
	if err != nil {
		return nil, err
	}
	return a.attachTC(a.egressPin(index), program, index, ebpf.AttachTCXEgress)
}

// attachIngress attaches a program at a hook. What is at another hook stays, so that no
// packet passes by, but for XDP: a device has it in one way only.
func (a *Devices) attachIngress(l netlnk.Link, hook lvs.Hook) (*attachment, error) {
	index, keys := l.Index, a.ingressKeys(l, hook)
	a.loadAhead(keys...)
	program, err := a.program(keys[0])
	if err != nil {
		return nil, err
	}
	if hook == lvs.HookTC {
		return a.attachTC(a.ingressPin(index, hook), program, index, ebpf.AttachTCXIngress)
	}
	for other := range xdpFlags {
		if other == hook {
			continue
		}
		if err := detach(a.ingressPin(index, other)); err != nil {
			return nil, err
		}
	}
	return a.pinned(a.ingressPin(index, hook), program, index, func() (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Interface: index, Program: program, Flags: xdpFlags[hook]})
	})
}

// leaveOthers takes off what is at other hooks of a device than its own.
func (a *Devices) leaveOthers(d *device) error {
	var pins []string
	for _, hook := range []lvs.Hook{lvs.HookNative, lvs.HookGeneric, lvs.HookTC} {
		if hook != d.hook {
			pins = append(pins, a.ingressPin(d.index, hook))
		}
	}
	if d.behind == nil {
		pins = append(pins, a.behindPin(d.index))
	}
	for _, pin := range pins {
		if err := detach(pin); err != nil {
			return err
		}
	}
	return nil
}

var xdpFlags = map[lvs.Hook]link.XDPAttachFlags{
	lvs.HookNative:  link.XDPDriverMode,
	lvs.HookGeneric: link.XDPGenericMode,
}

// pinned updates the link that is pinned there, without a gap, or makes one.
func (a *Devices) pinned(path string, program *ebpf.Program, index int, attach func() (link.Link, error)) (h *attachment, err error) {
	err = a.Unless(func() error {
		h, err = pinned(path, program, index, attach)
		return err
	})
	return h, err
}

func pinned(path string, program *ebpf.Program, index int, attach func() (link.Link, error)) (*attachment, error) {
	if l, err := link.LoadPinnedLink(path, nil); err == nil {
		if err := l.Update(program); err == nil {
			return attachedLink(l, path, program, index)
		}
		// The device that it was on is gone: its index has come again.
		l.Close()
		if err := kmap.Unpin(path); err != nil {
			return nil, err
		}
	}
	l, err := attach()
	if occupied(err) {
		if freed, e := freeRenumbered(path, index); e != nil {
			return nil, errors.Join(err, e)
		} else if freed {
			l, err = attach()
		}
	}
	if err != nil {
		return nil, err
	}
	if err := l.Pin(path); err != nil {
		l.Close()
		return nil, fmt.Errorf("pin: %w", err)
	}
	return attachedLink(l, path, program, index)
}

// detach takes off the link or filter that is pinned there, if there is one. It does not
// wait for the last holder's close, which the kernel does in its own time.
func detach(path string) error {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		if isFilter, err := detachFilter(path); isFilter {
			return err
		}
		return fmt.Errorf("open the link to take off: %w", err)
	}
	defer l.Close()
	if err := l.Detach(); err != nil && !errors.Is(err, unix.ENOLINK) {
		return fmt.Errorf("detach: %w", err)
	}
	return kmap.Unpin(path)
}

// unpinOthers detaches from the devices that are not to be kept.
func (a *Devices) unpinOthers(keep map[string]bool) error { return detachOthers(a.pinDir, keep) }

// DetachPinned detaches whatever is pinned in a folder from its device.
func DetachPinned(pinDir string) error { return detachOthers(pinDir, nil) }

func detachOthers(pinDir string, keep map[string]bool) error {
	pins, err := pinsOfPrograms(pinDir)
	if err != nil {
		return err
	}
	for _, pin := range pins {
		if keep[filepath.Base(pin)] {
			continue
		}
		if err := detach(pin); err != nil {
			return err
		}
	}
	return nil
}

// DetachAll detaches from all devices, also those of an earlier process.
func (a *Devices) DetachAll() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, d := range a.by {
		d.close()
		delete(a.by, name)
	}
	return a.unpinOthers(nil)
}
