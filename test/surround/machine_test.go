package surround

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/conf"
	"weir/internal/api"
	"weir/internal/director"
	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// machine is a namespace with a running weir, and the far ends of its cables in another.
type machine struct {
	t         *testing.T
	near, far *nstest.Namespace
	dir, pins string
	cfg       *conf.Config
	text      string // of which cfg is
	cmd       *exec.Cmd
	client    *api.Client
	random    *rand.Rand
	history   []string
	mixed     bool // devices have come, gone or changed their names since the last reset
}

// bareMachine makes the machine's own namespace, and nothing around it.
func bareMachine(t *testing.T, name string) *machine {
	t.Helper()
	m := &machine{t: t, near: nstest.New(t, name), dir: t.TempDir()}
	m.pins = filepath.Join("/sys/fs/bpf", m.near.Name)
	t.Cleanup(func() { os.RemoveAll(m.pins) })
	return m
}

// newMachine makes the namespaces, without devices.
func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	m := bareMachine(t, name)
	m.far = nstest.New(t, name+"far")
	m.far.IP("link", "add", "br0", "type", "bridge")
	m.mixed = true
	m.reset()
	return m
}

// plug connects device ethN by a cable, with a new number unless index says which.
func (m *machine) plug(n int, index string) {
	name, far := fmt.Sprintf("eth%d", n), fmt.Sprintf("p%d", n)
	m.try(m.far, "link del "+far)
	m.try(m.near, strings.TrimSpace("link add name "+name+" "+index)+" type veth peer name "+far+" netns "+m.far.Name)
	m.try(m.far, "link set "+far+" up")
	m.try(m.far, fmt.Sprintf("addr add 10.%d.0.254/24 dev %s", n+1, far))
}

// reset makes the machine's devices as they are at the beginning of each sequence.
func (m *machine) reset() {
	for _, c := range []string{"nexthop flush", "rule del to 10.9.0.0/24 table 77", "route flush table 77"} {
		m.try(m.near, c)
	}
	if !m.mixed {
		m.tidy()
		return
	}
	m.mixed = false
	for _, l := range m.look().Links() {
		if l.Name != "lo" {
			m.try(m.near, "link del "+l.Name)
		}
	}
	for n := range 3 {
		m.plug(n, "")
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.1/24 dev eth%d", n+1, n))
		m.try(m.near, fmt.Sprintf("link set eth%d up", n))
	}
	m.try(m.near, "route add 10.9.0.0/24 via 10.2.0.254")
	m.try(m.near, "link add br0 type bridge")
}

// tidy is a reset of a machine whose devices are those of the last one.
func (m *machine) tidy() {
	for n := range 3 {
		m.try(m.far, fmt.Sprintf("link set p%d up", n))
		m.try(m.near, fmt.Sprintf("link set eth%d nomaster mtu 1500", n))
		m.sysctl(fmt.Sprintf("net/ipv6/conf/eth%d/disable_ipv6", n), "0")
		m.try(m.near, fmt.Sprintf("addr flush dev eth%d", n))
		m.try(m.near, fmt.Sprintf("addr add 10.%d.0.1/24 dev eth%d", n+1, n))
		m.try(m.near, fmt.Sprintf("link set eth%d up", n))
		m.try(m.near, fmt.Sprintf("neigh flush dev eth%d nud permanent", n))
	}
	for _, r := range []string{"10.9.0.31/32", "10.9.0.32/32", "unreachable 10.9.0.32/32", "default"} {
		m.try(m.near, "route del "+r)
	}
	m.try(m.near, "route replace 10.9.0.0/24 via 10.2.0.254")
}

// try runs ip in a namespace; what cannot be done as things stand changes nothing.
func (m *machine) try(n *nstest.Namespace, command string) {
	err := exec.Command("ip", append([]string{"-n", n.Name}, strings.Fields(command)...)...).Run()
	where := "near"
	if n == m.far {
		where = "far"
	}
	line := where + ": ip " + command
	if err != nil {
		line += " (refused)"
	}
	m.history = append(m.history, line)
}

// sysctl sets one of the near namespace; where there is no such device, it changes nothing.
func (m *machine) sysctl(name, value string) {
	m.near.Do(func() {
		line := "near: sysctl " + name + "=" + value
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			line += " (refused)"
		}
		m.history = append(m.history, line)
	})
}

// hasIPv6 says whether a device of the near namespace may have IPv6 addresses.
func (m *machine) hasIPv6(device string) (yes bool) {
	m.near.Do(func() {
		off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + device + "/disable_ipv6")
		yes = err == nil && strings.TrimSpace(string(off)) == "0"
	})
	return yes
}

// look is the near namespace as it is.
func (m *machine) look() (p *netlnk.Picture) {
	m.t.Helper()
	var err error
	for range 100 {
		m.near.Do(func() { p, err = netlnk.Look() })
		if err == nil {
			return p
		}
	}
	m.t.Fatal(err)
	return nil
}

// computed is what a start would set up.
func (m *machine) computed() (s director.State) {
	m.t.Helper()
	var err error
	for range 100 {
		m.near.Do(func() { s, err = director.Compute(m.cfg) })
		if err == nil {
			return s
		}
	}
	m.t.Fatal(err)
	return s
}

// ingresses are the numbers of the devices on which programs are pinned, sorted as text.
func (m *machine) ingresses() (list []string) {
	pins, err := filepath.Glob(filepath.Join(m.pins, "ingress_*"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, p := range pins {
		list = append(list, strings.Split(filepath.Base(p), "_")[1])
	}
	slices.Sort(list)
	return list
}

// start runs weir with a configuration, until the end of the test or stop.
func (m *machine) start(text string) {
	m.t.Helper()
	file := m.write(text)
	log, err := os.Create(filepath.Join(m.dir, "log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command("nsenter", "--net=/run/netns/"+m.near.Name, executable, "run", "-f", file, "--run-dir", m.dir, "--pin-dir", m.pins)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(m.stop)
	m.client = api.NewClient(m.dir)
	nstest.WaitFor(m.t, "weir starts", func() bool {
		_, err := m.client.State(m.t.Context())
		return err == nil
	})
}

// write writes the file that is in force from then on, and reads it.
func (m *machine) write(text string) (file string) {
	m.t.Helper()
	file = filepath.Join(m.dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	cfg, diagnostics, err := api.Read(new(conf.Loader), file)
	if err != nil {
		m.t.Fatal(err, diagnostics.All())
	}
	m.cfg, m.text = cfg, text
	return file
}

// reload has weir take up another file. It is refused where a device does not exist that an
// instance did not have before.
func (m *machine) reload(text string) {
	m.t.Helper()
	before := m.text
	m.history = append(m.history, "reload")
	answer, err := m.client.Reload(m.t.Context(), api.Request{File: m.write(text)})
	if strings.Contains(answer.Error, "no such device") {
		m.history = append(m.history, "(refused)")
		m.write(before)
	} else if err != nil || answer.Error != "" {
		m.t.Fatalf("reload after\n  %s\n%v %s\nlog:\n%s", strings.Join(m.history, "\n  "), err, answer.Error, m.tail())
	}
}

func (m *machine) stop() {
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { m.cmd.Process.Kill() })
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("weir ended with %v\nlog:\n%s", err, m.tail())
	}
	kill.Stop()
	m.cmd = nil
}

// tail is the end of weir's log.
func (m *machine) tail() string {
	text, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		return err.Error()
	}
	list := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(list[max(0, len(list)-60):], "\n")
}
