package vrrp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/test/mutate"
)

// What keepalived 2.2.7 sent, with the IP header: VRID 51, auth_pass 1111, VIP
// 192.168.25.100, at priority 100 and when it stopped.
const (
	capturedAdvert  = "45c0002800010000ff7000cbc0a8191fe0000012" + "2133640101013d5bc0a819643131313100000000"
	capturedRelease = "45c0002800020000ff7000cac0a8191fe0000012" + "213300010101a15bc0a819643131313100000000"
)

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestAdvertisementBytes(t *testing.T) {
	tests := []struct {
		name string
		in   Advertisement
		want string
	}{
		{
			"as keepalived sends it",
			Advertisement{VRID: 51, Priority: 100, Interval: time.Second, Auth: Password("1111"), VIPs: addrs("192.168.25.100")},
			capturedAdvert[40:],
		},
		{
			"as keepalived lets go",
			Advertisement{VRID: 51, Priority: 0, Interval: time.Second, Auth: Password("1111"), VIPs: addrs("192.168.25.100")},
			capturedRelease[40:],
		},
		{
			"no authentication still has its eight bytes",
			Advertisement{VRID: 1, Priority: 255, Interval: 255 * time.Second, VIPs: addrs("10.0.0.1", "10.0.0.2")},
			"2101ff02 00ffcaf9 0a000001 0a000002 0000000000000000",
		},
		{
			"no VIP",
			Advertisement{VRID: 7, Priority: 1, Interval: 2 * time.Second},
			"21070100 0002ddf6 0000000000000000",
		},
		{
			"a long password is cut",
			Advertisement{VRID: 7, Priority: 1, Interval: 2 * time.Second, Auth: Password("123456789")},
			"21070100 01020c22 3132333435363738",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			b, err := tt.in.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, want) {
				t.Errorf("marshal\n got %x\nwant %x", b, want)
			}
			var read Advertisement
			if err := read.UnmarshalBinary(want); err != nil {
				t.Fatal(err)
			}
			tt.in.Version = Version2
			if diff := cmp.Diff(tt.in, read, compareAddrs); diff != "" {
				t.Errorf("unmarshal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMarshalRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   Advertisement
		want string
	}{
		{"half a second", Advertisement{Interval: 500 * time.Millisecond},
			"vrrp advertisement: advertisement interval 500ms: version 2 carries whole seconds up to 255"},
		{"too long an interval", Advertisement{Interval: 256 * time.Second},
			"vrrp advertisement: advertisement interval 4m16s: version 2 carries whole seconds up to 255"},
		{"IPv6", Advertisement{Interval: time.Second, VIPs: addrs("fe80::1")},
			"vrrp advertisement: VIP fe80::1: version 2 carries IPv4 addresses only"},
		{"too many", Advertisement{Interval: time.Second, VIPs: make([]netip.Addr, 256)},
			"vrrp advertisement: 256 VIPs, expected at most 255"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.in.MarshalBinary(); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestUnmarshalDrops(t *testing.T) {
	good := capturedAdvert[40:]
	tests := []struct {
		name string
		in   string
		want Drop
	}{
		{"nothing", "", DropLength},
		{"one byte short of a header", good[:14], DropLength},
		{"no authentication data", good[:24], DropLength},
		{"one byte short", good[:38], DropLength},
		{"one byte more", good + "00", DropLength},
		{"one VIP more than there is", "21336402" + good[8:], DropLength},
		{"version 3", "31" + good[2:], DropLength},
		{"version 4", "41" + good[2:], DropVersion},
		{"version 0", "01" + good[2:], DropVersion},
		{"type 2", "22" + good[2:], DropType},
		{"another checksum", good[:12] + "3d5c" + good[16:], DropChecksum},
		{"a changed VIP", good[:16] + "c0a81965" + good[24:], DropChecksum},
		{"a changed password", good[:24] + "3131313200000000", DropChecksum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := Advertisement{VRID: 9}
			a := before
			err := a.UnmarshalBinary(unhex(t, tt.in))
			var drop *DropError
			if !errors.As(err, &drop) || drop.Reason != tt.want {
				t.Errorf("got %v, want a drop for %s", err, tt.want)
			}
			if diff := cmp.Diff(before, a, compareAddrs); diff != "" {
				t.Errorf("a refused packet changed the advertisement:\n%s", diff)
			}
		})
	}
}

// FuzzAdvertisement: no bytes make the codec panic, and an advertisement that was read is
// written as the bytes that it was read from.
func FuzzAdvertisement(f *testing.F) { mutate.Fuzz(f, advertisementSeeds(f), checkAdvertisement) }

func TestAdvertisementMutations(t *testing.T) {
	mutate.Test(t, "FuzzAdvertisement", advertisementSeeds(t), checkAdvertisement)
}

func advertisementSeeds(t testing.TB) (seeds mutate.Seeds) {
	for _, seed := range []string{"", "21", capturedAdvert[40:], capturedRelease[40:], "210701000002ddf60000000000000000", vector3, vector3Plain, vector3IPv6} {
		seeds = append(seeds, []any{unhex(t, seed)})
	}
	return seeds
}

func checkAdvertisement(t *testing.T, b []byte) {
	// Most inputs fail at the checksum, so that the code behind it would not run:
	// the same bytes with a correct checksum are tried, too.
	readWriteRead(t, b)
	if len(b) >= headerLen {
		b[6], b[7] = 0, 0
		sum := checksum(b)
		b[6], b[7] = byte(sum>>8), byte(sum)
		readWriteRead(t, b)
	}
}

func readWriteRead(t *testing.T, b []byte) {
	var first, second Advertisement
	if first.UnmarshalBinary(b) != nil {
		return
	}
	written, err := first.MarshalBinary()
	if err != nil {
		t.Fatalf("read %x, but cannot write it: %v", b, err)
	}
	if err := second.UnmarshalBinary(written); err != nil {
		t.Fatalf("wrote %x, but cannot read it: %v", written, err)
	}
	if diff := cmp.Diff(first, second, compareAddrs); diff != "" {
		t.Fatalf("read, written and read again (-first +second):\n%s", diff)
	}
	// The checksum has two representations of 0 (RFC 1071): only there the bytes may
	// differ. Nothing looks at version 3's reserved bits.
	if first.Version == Version3 {
		b[4] &= 0x0f
	}
	written[6], written[7], b[6], b[7] = 0, 0, 0, 0
	if first.Version == 2 && first.Auth.Type == AuthHeader {
		clear(b[len(b)-authDataLen:]) // sent as zeros
	}
	if !bytes.Equal(written, b) {
		t.Fatalf("read %x, wrote %x", b, written)
	}
}
