package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run folder that cannot be one is refused with its name and what to do.
func TestRunFolderRefused(t *testing.T) {
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	if err := os.Symlink("/nonexistent/folder", nowhere); err != nil {
		t.Fatal(err)
	}
	long := "/run/" + strings.Repeat("x", 100)
	for folder, want := range map[string]string{
		nowhere: "make the run folder: mkdir " + nowhere + ": file exists: a symbolic link stands there that leads nowhere: remove it, or give weir another folder (--run-dir, --pin-dir)",
		long:    "the name of the run folder is too long: that of a socket may have 107 bytes, and " + long + "/weir.sock has 115: give weir a folder with a shorter name (--run-dir)",
	} {
		f, err := lockFolder(folder)
		if err == nil {
			f.Close()
			t.Fatalf("%s: taken", folder)
		}
		if err.Error() != want {
			t.Errorf("%s:\n%s\nwant\n%s", folder, err, want)
		}
	}
}
