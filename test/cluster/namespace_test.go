package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A namespace that is not there is told with the place in the file and the remedy, and
// nothing is made.
func TestNetNamespaceThatIsNotThere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keepalived.conf")
	name := fmt.Sprintf("weirt-%d-gone", os.Getpid())
	if err := os.WriteFile(file, []byte("net_namespace "+name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(executable, "run", "-f", file).CombinedOutput()
	if want := file + ":1:15: net_namespace " + name + ": there is no /run/netns/" + name + ": make it by ip netns add"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant an error with %s", err, out, want)
	}
	if _, err := os.Stat("/run/weir/" + name); !os.IsNotExist(err) {
		t.Errorf("the run folder was made (%v)", err)
	}
}
