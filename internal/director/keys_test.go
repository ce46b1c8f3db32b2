package director

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// Keys of auth_hmac that are in files are handed over as the files have them; what is no regular
// file is refused, and nothing waits for a pipe.
func TestReadKeys(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "key"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("hex:00ff\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ value, want, err string }{
		{"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef", ""},
		{"file:" + file, "hex:00ff", ""},
		{"file:" + pipe, "", "auth_hmac key 7: open " + pipe + ": it is not a regular file"},
		{"file:/dev/zero", "", "auth_hmac key 7: open /dev/zero: it is not a regular file"},
		{"file:" + dir, "", "auth_hmac key 7: open " + dir + ": it is a directory"},
		{"file:/nonexistent", "", "auth_hmac key 7: open /nonexistent: no such file or directory"},
	} {
		given := []vrrp.HMACKey{{ID: 7, Value: tt.value}}
		got, err := readKeys(given)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.value, err, tt.err)
		}
		if err == nil && (got[0].ID != 7 || got[0].Value != tt.want) {
			t.Errorf("%s: %+v, want the key %q", tt.value, got, tt.want)
		}
		if given[0].Value != tt.value {
			t.Errorf("%s: the instance's own list has the key now", tt.value)
		}
	}
}
