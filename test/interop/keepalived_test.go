package interop

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// keepalived is the real one, in a host's namespace.
type keepalived struct{ *program }

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

// startKeepalived starts it with these settings.
func startKeepalived(t *testing.T, h *host, set settings) *keepalived {
	t.Helper()
	set.Source = h.addr.String()
	var conf strings.Builder
	must(t, keepalivedConf.Execute(&conf, set))
	return &keepalived{startProgram(t, h, "keepalived", conf.String())}
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
