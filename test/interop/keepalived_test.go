package interop

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// keepalived is the real keepalived, in a host's namespace.
type keepalived struct{ *program }

// settings are the parts of its configuration that the tests vary.
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

// startKeepalived starts keepalived with these settings.
func startKeepalived(t *testing.T, h *host, set settings) *keepalived {
	t.Helper()
	set.Source = h.addr.String()
	var conf strings.Builder
	must(t, keepalivedConf.Execute(&conf, set))
	return &keepalived{startProgram(t, h, "keepalived", conf.String())}
}

// kill ends both processes of keepalived without an advert of priority 0. It stops the
// parent first, which would otherwise start the child again or stop it cleanly.
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
