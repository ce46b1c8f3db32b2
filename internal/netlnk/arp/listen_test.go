package arp

import (
	"testing"
)

func TestClaimOf(t *testing.T) {
	valid := []byte{0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1}
	edit := func(at int, to ...byte) []byte {
		b := append([]byte(nil), valid...)
		copy(b[at:], to)
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"a reply", valid, "192.0.2.100 02:00:00:00:00:09"},
		{"a request", edit(7, 1), "192.0.2.100 02:00:00:00:00:09"},
		{"padded", append(edit(7, 1), make([]byte, 18)...), "192.0.2.100 02:00:00:00:00:09"},
		{"a probe", edit(14, 0, 0, 0, 0), ""},
		{"cut off", valid[:27], ""},
		{"nothing", nil, ""},
		{"another protocol", edit(2, 0x86, 0xdd), ""},
		{"another link", edit(0, 0, 6), ""},
		{"other lengths", edit(4, 8), ""},
	} {
		got := ""
		if c, ok := claimOf(tt.b); ok {
			got = c.Addr.String() + " " + c.MAC.String()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
