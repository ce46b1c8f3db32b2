package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"weir/internal/netlnk"
	"weir/internal/statefile"
)

// Secondaries has devices keep the further addresses of a network when its first one goes
// (sysctl promote_secondaries of Documentation/networking/ip-sysctl.rst). What was set before
// stands in a file, so that another process can put it back.
type Secondaries struct {
	// File has the names of the devices that were set otherwise before, as JSON.
	File string
}

const promoteSecondaries = "promote_secondaries"

// Promote has these devices keep them, beside those that do already. One that does not exist
// is left out.
func (s Secondaries) Promote(devices []string) error {
	for _, device := range devices {
		have, err := netlnk.Sysctl(device, promoteSecondaries)
		if errors.Is(err, netlnk.ErrNoDevice) || have == "1" {
			continue
		}
		if err != nil {
			return err
		}
		changed, err := s.changed()
		if err != nil {
			return err
		}
		if !slices.Contains(changed, device) {
			changed = append(changed, device)
			if err := s.save(changed); err != nil {
				return err
			}
		}
		if err := netlnk.SetSysctl(device, promoteSecondaries, "1"); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			return err
		}
	}
	return nil
}

// PutBack has all other devices be as they were before Promote.
func (s Secondaries) PutBack(but []string) error {
	changed, err := s.changed()
	if err != nil || len(changed) == 0 {
		return err
	}
	var stay []string
	var errs []error
	for _, device := range changed {
		if slices.Contains(but, device) {
			stay = append(stay, device)
		} else if err := netlnk.SetSysctl(device, promoteSecondaries, "0"); err != nil && !errors.Is(err, netlnk.ErrNoDevice) {
			stay = append(stay, device)
			errs = append(errs, err)
		}
	}
	if len(stay) < len(changed) {
		errs = append(errs, s.save(stay))
	}
	return errors.Join(errs...)
}

// changed lists the devices that were set otherwise before.
func (s Secondaries) changed() (devices []string, err error) {
	text, err := statefile.Read(s.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &devices)
	}
	if err != nil {
		return nil, fmt.Errorf("the devices whose promote_secondaries was set: %w", err)
	}
	return slices.DeleteFunc(devices, func(name string) bool { return name == "" || strings.Contains(name, "/") }), nil
}

// save writes the file anew, or removes it where there is nothing to remember.
func (s Secondaries) save(devices []string) error {
	if len(devices) == 0 {
		return os.Remove(s.File)
	}
	text, err := json.Marshal(devices)
	if err != nil {
		return err
	}
	if err := statefile.Write(s.File, text); err != nil {
		return fmt.Errorf("remember what promote_secondaries was: %w", err)
	}
	return nil
}
