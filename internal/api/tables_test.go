package api

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/conf"
)

// A GET of /v1/tables is the data plane's tables with the sums of what they take; docs/api.md
// has the fields.
func TestTables(t *testing.T) {
	runDir := t.TempDir()
	s, err := Listen(runDir, "/etc/keepalived/keepalived.conf", new(conf.Loader), &picture{}, newStream())
	if err != nil {
		t.Fatal(err)
	}
	tables := []Table{
		{Name: "connections", InUse: 12, Room: 65536, Most: 1 << 20, Bytes: 23 << 20, Full: 349 << 20},
		{Name: "others", Bytes: 7 << 20, Full: 8 << 20},
	}
	s.Tables = func() []Table { return tables }
	running(t, s)
	c := NewClient(runDir)
	got, err := c.Tables(t.Context())
	if diff := cmp.Diff(Tables{Tables: tables, Bytes: 30 << 20, Full: 357 << 20}, got); diff != "" || err != nil {
		t.Errorf("%v; tables (-want +got):\n%s", err, diff)
	}
	r, err := c.http.Get("http://weir/v1/tables")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	want := `{"tables":[{"name":"connections","in_use":12,"room":65536,"most":1048576,"bytes":24117248,"bytes_when_full":365953024},` +
		`{"name":"others","in_use":0,"room":0,"most":0,"bytes":7340032,"bytes_when_full":8388608}],"bytes":31457280,"bytes_when_full":374341632}`
	if err != nil || r.StatusCode != http.StatusOK || strings.TrimSpace(string(text)) != want {
		t.Errorf("%v, %s: got\n%s\nwant\n%s", err, r.Status, text, want)
	}
}
