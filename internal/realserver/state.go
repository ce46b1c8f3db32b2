package realserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/internal/netlnk"
	"weir/internal/statefile"
)

// state is the content of the state file: what Start was asked for, and what Stop needs.
type state struct {
	// Boot and Namespace are the boot and the network namespace that the rest is about.
	Boot      string `json:"boot"`
	Namespace uint64 `json:"namespace"`

	VIPs    []vipState    `json:"vips"`
	Sysctls []sysctlState `json:"sysctls"`
	// DirectorDevices may have the addresses, too, while this machine is the master
	// director.
	DirectorDevices []string `json:"director_devices,omitempty"`
	// Decap is nil where no VIP is reached through a tunnel.
	Decap *decapState `json:"decap,omitempty"`
}

type vipState struct {
	Addr netip.Addr `json:"address"`
	// Added says that Start added it to lo; Stop leaves an address that lo had before.
	Added bool `json:"added"`
	// Tunnel says that its packets may also come in a tunnel.
	Tunnel bool `json:"tunnel,omitempty"`
}

// decapState is what StartTunnel was asked for, and what it may have set up.
type decapState struct {
	By        Decap        `json:"by"` // kernel or bpf
	Devices   []string     `json:"devices,omitempty"`
	Directors []netip.Addr `json:"directors,omitempty"`
	// Attached are the devices to which the program may be attached, Tunnels the tunnel
	// devices that may exist: both are written before they are made.
	Attached []string        `json:"attached,omitempty"`
	Tunnels  []netlnk.Tunnel `json:"tunnels,omitempty"`
}

type sysctlState struct {
	Device string `json:"device"`
	Name   string `json:"name"`
	Before string `json:"before"`
	Set    string `json:"set"`
}

func (s *state) started(vip netip.Addr) bool {
	return slices.ContainsFunc(s.VIPs, func(v vipState) bool { return v.Addr == vip })
}

func (s *state) hasIPv4() bool {
	return slices.ContainsFunc(s.VIPs, func(v vipState) bool { return v.Addr.Is4() })
}

func (s *state) remembers(device, name string) bool {
	return slices.ContainsFunc(s.Sysctls, func(c sysctlState) bool { return c.Device == device && c.Name == name })
}

// load reads the state file. Where there is none, or one from before the last boot, the
// state is empty: a boot has undone everything that it describes. A damaged file and one
// of another network namespace are errors.
func (r *RealServer) load() (*state, error) {
	here, err := place()
	if err != nil {
		return nil, err
	}
	b, err := statefile.Read(r.stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return here, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	s, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("state file %s is damaged and no longer tells what was there before: %w; "+
			"remove it to go on, then the present settings count as the old ones", r.stateFile, err)
	}
	if s.Boot != here.Boot {
		return here, nil
	}
	if s.Namespace != here.Namespace {
		return nil, fmt.Errorf("state file %s belongs to another network namespace: "+
			"give this one a file of its own (--state), or remove the file if that namespace is gone", r.stateFile)
	}
	return s, nil
}

// place is an empty state of this boot and namespace.
func place() (*state, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read the number of this boot: %w", err)
	}
	ns, err := netlnk.Namespace()
	if err != nil {
		return nil, err
	}
	return &state{Boot: strings.TrimSpace(string(boot)), Namespace: ns}, nil
}

// parse reads a state and refuses everything that Start would not have written, since
// Stop changes the kernel by it.
func parse(b []byte) (*state, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var s state
	if err := d.Decode(&s); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after its end")
	}
	if s.Boot == "" || s.Namespace == 0 {
		return nil, errors.New("the boot or the namespace is missing")
	}
	for _, v := range s.VIPs {
		if _, err := canonical([]netip.Addr{v.Addr}); err != nil {
			return nil, err
		}
	}
	for _, c := range s.Sysctls {
		known := func(w setting) bool { return w.device == c.Device && w.name == c.Name }
		if !slices.ContainsFunc(wanted(), known) || c.Before == "" || c.Set == "" {
			return nil, fmt.Errorf("unexpected sysctl %q of device %q", c.Name, c.Device)
		}
	}
	return &s, s.checkDecap()
}

func (s *state) checkDecap() error {
	if s.Decap == nil {
		if len(s.tunnelVIPs()) > 0 {
			return errors.New("it does not say who decapsulates")
		}
		return nil
	}
	if s.Decap.By != DecapKernel && s.Decap.By != DecapBPF {
		return fmt.Errorf("unexpected decapsulation by %q", s.Decap.By)
	}
	if _, err := canonicalDirectors(s.Decap.Directors); err != nil {
		return err
	}
	for _, t := range s.Decap.Tunnels {
		if !strings.HasPrefix(t.Name, "weir-"+t.Kind) || !slices.Contains([]string{"ipip", "sit", "ip6tnl"}, t.Kind) {
			return fmt.Errorf("unexpected tunnel device %q of kind %q", t.Name, t.Kind)
		}
	}
	return nil
}

// save replaces the state file.
func (r *RealServer) save(s *state) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	if err := statefile.Write(r.stateFile, append(b, '\n')); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}

// forget removes the state file.
func (r *RealServer) forget() error {
	err := os.Remove(r.stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the state file: %w", err)
	}
	return r.syncDir()
}

func (r *RealServer) syncDir() error {
	d, err := os.Open(filepath.Dir(r.stateFile))
	if err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write the state file: %w", err)
	}
	return nil
}

// lock keeps other processes from changing the same state until unlock. It locks the
// directory of the state file, which leaves no file behind; the lock ends with the process.
func (r *RealServer) lock() (unlock func(), err error) {
	dir := filepath.Dir(r.stateFile)
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the state file: %w", err)
	}
	err = lockFolder(d, lockWithin)
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { d.Close() }, nil
}
