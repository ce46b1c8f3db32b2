package conf

import (
	"os"
	"strings"
	"testing"
)

// archive is a txtar file: a comment, then files under lines "-- name --".
type archive struct {
	comment string
	files   []archived
}

type archived struct{ name, text string }

func readArchive(t *testing.T, name string) *archive {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{}
	for _, line := range strings.SplitAfter(string(text), "\n") {
		head := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(head, "-- ") && strings.HasSuffix(head, " --"):
			a.files = append(a.files, archived{name: head[3 : len(head)-3]})
		case len(a.files) == 0:
			a.comment += line
		default:
			a.files[len(a.files)-1].text += line
		}
	}
	return a
}

// file is the archived file of a name, made when the archive has none.
func (a *archive) file(name string) *archived {
	for i := range a.files {
		if a.files[i].name == name {
			return &a.files[i]
		}
	}
	a.files = append(a.files, archived{name: name})
	return &a.files[len(a.files)-1]
}

func (a *archive) write(t *testing.T, name string) {
	t.Helper()
	text := a.comment
	for _, f := range a.files {
		text += "-- " + f.name + " --\n" + f.text
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
