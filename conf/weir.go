package conf

import (
	"fmt"

	"weir/lvs"
)

// rawWeir is the weir block: what keepalived.conf has no words for.
type rawWeir struct {
	devices []*rawDevice
	byName  map[string]*rawDevice
}

// rawDevice is a device of the weir block.
type rawDevice struct {
	head *statement
	name string
	hook field[lvs.Hook]
}

// weirBlock is the table of the weir block.
func weirBlock() *blockSpec {
	device := section("device", deviceBlock(), deviceHead)
	device.optional = true
	return &blockSpec{name: "weir", entries: []*entry{device}}
}

// deviceBlock is the table of device.
func deviceBlock() *blockSpec {
	return &blockSpec{name: "device", entries: []*entry{
		setting("hook", oneOf(choice[lvs.Hook]{noun: "hook", known: []option[lvs.Hook]{
			{"auto", lvs.HookAuto}, {"native", lvs.HookNative}, {"generic", lvs.HookGeneric}, {"tc", lvs.HookTC},
		}}), func(d *rawDevice) *field[lvs.Hook] { return &d.hook }),
	}}
}

// deviceHead makes the device that device NAME begins.
func deviceHead(r *reader, st *statement, w *rawWeir) *rawDevice {
	name, ok := one(r, st, device())
	if !ok {
		return nil
	}
	if d := w.byName[name]; d != nil {
		r.errorAt(st.all(), fmt.Sprintf("device %s is given twice", name), "take one of them out", "first given at "+d.head.place().String())
		return nil
	}
	d := &rawDevice{head: st, name: name}
	w.devices, w.byName[name] = append(w.devices, d), d
	return d
}
