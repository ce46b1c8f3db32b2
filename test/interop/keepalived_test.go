package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"

	"github.com/vishvananda/netns"
)

// keepalived is the real one, in a host's namespace.
type keepalived struct {
	host *host
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// settings are what the tests vary of its configuration.
type settings struct {
	State, Source, Peer, Pass string
	Priority                  int
}

var keepalivedConf = template.Must(template.New("keepalived.conf").Parse(`vrrp_instance VI_1 {
    state {{.State}}
    interface ens160
    virtual_router_id 51
    priority {{.Priority}}
    advert_int 1
{{- if .Pass}}
    authentication {
        auth_type PASS
        auth_pass {{.Pass}}
    }
{{- end}}
{{- if .Peer}}
    unicast_src_ip {{.Source}}
    unicast_peer {
        {{.Peer}}
    }
{{- end}}
    virtual_ipaddress {
        192.168.25.100
    }
}
`))

// startKeepalived starts it in the host's namespace; it is stopped at the
// test's end, and its log is shown where the test failed.
func startKeepalived(t *testing.T, h *host, set settings) *keepalived {
	t.Helper()
	path, err := exec.LookPath("keepalived")
	if err != nil {
		t.Fatalf("%v: install it (apt-get install keepalived)", err)
	}
	k := &keepalived{host: h, dir: t.TempDir(), done: make(chan struct{})}
	set.Source = h.addr.String()
	var conf bytes.Buffer
	must(t, keepalivedConf.Execute(&conf, set))
	must(t, os.WriteFile(k.file("conf"), conf.Bytes(), 0o644))
	log, err := os.Create(k.file("log"))
	must(t, err)
	defer log.Close()
	k.cmd = exec.Command(path, "--vrrp", "-n", "-l", "-D", "-f", k.file("conf"), "-p", k.file("pid"), "-r", k.file("vrrp.pid"))
	k.cmd.Stdout, k.cmd.Stderr = log, log
	// Should the test's process die, keepalived is told to stop.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go k.run(started)
	must(t, <-started)
	t.Cleanup(func() {
		k.stop()
		if t.Failed() {
			t.Logf("keepalived on %s:\n%s", h.addr, k.log(t))
		}
	})
	return k
}

// run starts keepalived and waits for its end on one thread: the parent of
// Pdeathsig is a thread, and this one is in the host's namespace for good.
func (k *keepalived) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(k.done)
	if err := netns.Set(k.host.ns); err != nil {
		started <- err
		return
	}
	err := k.cmd.Start()
	started <- err
	if err == nil {
		k.cmd.Wait() // its exit code says nothing that the test does not ask of it otherwise
	}
}

func (k *keepalived) file(name string) string { return filepath.Join(k.dir, name) }

func (k *keepalived) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(k.file("log"))
	must(t, err)
	return string(text)
}

// stop is SIGTERM: a clean stop.
func (k *keepalived) stop() {
	select {
	case <-k.done:
	default:
		k.cmd.Process.Signal(syscall.SIGTERM)
		<-k.done
	}
}

// kill ends both its processes with no last word: the parent is held first, or
// it would start the other again, or tell it to stop cleanly.
func (k *keepalived) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(k.file("vrrp.pid"))
	must(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	must(t, k.cmd.Process.Signal(syscall.SIGSTOP))
	must(t, syscall.Kill(child, syscall.SIGKILL))
	must(t, k.cmd.Process.Kill())
	<-k.done
}
