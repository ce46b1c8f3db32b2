package interop

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// program is a director that reads a configuration file, weir or keepalived, on its own host,
// with what others can see of it.
type program struct {
	*host
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	// outside is one that begins outside the host's namespace, and enters it by net_namespace.
	outside bool
}

// keepalivedCommand runs the real keepalived with the files of this folder.
func (p *program) keepalivedCommand(t *testing.T) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("keepalived")
	if err != nil {
		t.Fatalf("%v: install it (apt-get install keepalived)", err)
	}
	return exec.Command(path, "--vrrp", "-n", "-l", "-D", "-f", p.file("conf"), "-p", p.file("pid"), "-r", p.file("vrrp.pid"), "-b", p.file("bfd.pid"))
}

// startProgram starts weir, keepalived or BIRD with a configuration. At the end of the test it is
// stopped, and where the test failed its log is shown. "keepalived outside" begins outside the
// host's namespace: of the first namespace alone the kernel tells which processes begin and end.
func startProgram(t *testing.T, h *host, name, text string) *program {
	t.Helper()
	p := &program{host: h, dir: t.TempDir(), done: make(chan struct{})}
	p.write(t, text)
	switch name {
	case "weir":
		pins := filepath.Join("/sys/fs/bpf", filepath.Base(h.name))
		p.cmd = exec.Command(executable, "run", "-f", p.file("conf"), "--run-dir", p.dir, "--pin-dir", pins)
		t.Cleanup(func() { os.RemoveAll(pins) })
	case "keepalived":
		p.cmd = p.keepalivedCommand(t)
	case "keepalived outside":
		p.outside = true
		p.write(t, "net_namespace "+h.name+"\n"+text)
		p.cmd = p.keepalivedCommand(t)
	case "bird":
		path, err := exec.LookPath("bird")
		if err != nil {
			t.Fatalf("%v: test/peers/install installs it", err)
		}
		p.cmd = exec.Command(path, "-f", "-c", p.file("conf"), "-s", p.file("ctl"))
	}
	log, err := os.Create(p.file("log"))
	must(t, err)
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// If the test's process dies, the program gets SIGTERM.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go p.run(started)
	must(t, <-started)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s on %s:\n%s", name, h.addr, p.log(t))
		}
	})
	return p
}

// run starts the program and waits for its end on one thread, which stays in the host's
// namespace: Pdeathsig is sent when the thread ends that has started the process.
func (p *program) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(p.done)
	if !p.outside {
		if err := netns.Set(p.ns); err != nil {
			started <- err
			return
		}
	}
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.cmd.Wait() // the tests do not use its exit code
	}
}

func (p *program) file(name string) string { return filepath.Join(p.dir, name) }

func (p *program) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.file("log"))
	must(t, err)
	return string(text)
}

func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop sends SIGTERM, for a clean stop.
func (p *program) stop() {
	if !p.ended() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.done
	}
}

func (p *program) write(t *testing.T, text string) {
	t.Helper()
	must(t, os.WriteFile(p.file("conf"), []byte(text), 0o644))
}

// reload writes another configuration and sends SIGHUP.
func (p *program) reload(t *testing.T, text string) {
	t.Helper()
	p.write(t, text)
	must(t, p.cmd.Process.Signal(unix.SIGHUP))
}

// vips are the addresses that the program has added, on all interfaces of the host.
func (p *program) vips(t *testing.T) string {
	t.Helper()
	all, err := p.AddrList(nil, netlink.FAMILY_V4)
	must(t, err)
	var list []string
	for _, a := range all {
		if ones, _ := a.Mask.Size(); ones == 32 && !a.IP.IsLoopback() {
			list = append(list, a.IP.String())
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// advert is an advertisement that was received.
type advert struct {
	vrid, priority uint8
	vips           string
}

func (a advert) String() string {
	return fmt.Sprintf("vrid %d priority %d %s", a.vrid, a.priority, a.vips)
}

// adverts are the advertisements that were received on a segment, in order.
type adverts struct {
	mu      sync.Mutex
	list    []advert
	sources map[netip.Addr]int // how many each has sent
}

// listen receives the advertisements on a segment until the end of the test.
func listen(t *testing.T, h *host) *adverts {
	t.Helper()
	heard := &adverts{sources: map[netip.Addr]int{}}
	capture(t, h, heard.take)
	return heard
}

// capture hands all frames of IPv4 on a host's interface to a function until the end of the test.
func capture(t *testing.T, h *host, take func(frame []byte)) {
	t.Helper()
	var c *packet.Conn
	must(t, within(h.ns, func() (err error) {
		c, err = packet.Listen(&net.Interface{Index: h.dev.Attrs().Index}, packet.Raw, unix.ETH_P_IP, nil)
		return err
	}))
	must(t, c.SetPromiscuous(true))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			take(b[:n])
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
}

func (a *adverts) take(frame []byte) {
	const ethernet = 14
	if len(frame) < ethernet+20 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP || frame[ethernet+9] != vrrp.Protocol {
		return
	}
	header := int(frame[ethernet]&0xf) * 4
	length := int(binary.BigEndian.Uint16(frame[ethernet+2:]))
	var got vrrp.Advertisement
	if ethernet+length > len(frame) || got.UnmarshalBinary(frame[ethernet+header:ethernet+length]) != nil {
		return
	}
	var vips []string
	for _, v := range got.VIPs {
		vips = append(vips, v.String())
	}
	slices.Sort(vips)
	a.mu.Lock()
	defer a.mu.Unlock()
	source, _ := netip.AddrFromSlice(frame[ethernet+12 : ethernet+16])
	a.sources[source]++
	a.list = append(a.list, advert{got.VRID, got.Priority, strings.Join(vips, " ")})
}

func (a *adverts) since(mark int) []advert {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list[mark:])
}

// from counts the advertisements from an address.
func (a *adverts) from(source netip.Addr) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sources[source]
}

func (a *adverts) mark() int { return len(a.since(0)) }

// last is the content of the last n adverts, where they are all the same.
func (a *adverts) last(mark, n int) string {
	list := a.since(mark)
	if len(list) < n {
		return ""
	}
	list = slices.Compact(list[len(list)-n:])
	if len(list) != 1 {
		return ""
	}
	return list[0].String()
}

// lost records whether the host loses an address at any time from now on.
func lost(t *testing.T, h *host, addr netip.Addr) func() bool {
	t.Helper()
	changes, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	must(t, netlink.AddrSubscribeAt(h.ns, changes, done))
	var was atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c := range changes {
			if a, ok := netip.AddrFromSlice(c.LinkAddress.IP.To4()); ok && a == addr && !c.NewAddr {
				was.Store(true)
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return was.Load
}
