package ndp

import (
	"bytes"
	"encoding/hex"
	"net"
	"testing"

	"weir/test/mutate"
)

// FuzzClaim: no bytes make the reader of neighbour advertisements panic, and a claim that
// was read is one of an address that a host can have.
func FuzzClaim(f *testing.F) { mutate.Fuzz(f, claimSeeds(f), checkClaim) }

func TestClaimMutations(t *testing.T) { mutate.Test(t, "FuzzClaim", claimSeeds(t), checkClaim) }

// claimSeeds are an advertisement, one without an option, and one behind whose option
// another stands.
func claimSeeds(t testing.TB) mutate.Seeds {
	t.Helper()
	whole, err := hex.DecodeString("6000000000203aff20010db8000000000000000000000064ff020000000000000000000000000001" +
		"8800fdee2000000020010db800000000000000000000006402015254001faa03")
	if err != nil {
		t.Fatal(err)
	}
	two := append(bytes.Clone(whole), 14, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)
	return mutate.Of(whole, whole[:headerSize+24], two)
}

func checkClaim(t *testing.T, b []byte) {
	before := bytes.Clone(b)
	from := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	c, ok := claimOf(b, from)
	if ok && (len(c.MAC) != 6 || !c.Addr.Is6() || c.Addr.IsMulticast() || c.Addr.IsUnspecified()) {
		t.Errorf("%x: read as %+v", b, c)
	}
	if !bytes.Equal(before, b) {
		t.Errorf("%x became %x", before, b)
	}
	if !ok {
		return
	}
	// What was read, written anew, is read as the same.
	again, err := Advertisement{Target: c.Addr, MAC: c.MAC}.MarshalBinary()
	if c.Addr.Is4In6() { // which is not written
		return
	}
	if err != nil {
		t.Fatalf("%x: %+v: %v", b, c, err)
	}
	if second, ok := claimOf(again, from); !ok || second.Addr != c.Addr || !bytes.Equal(second.MAC, c.MAC) {
		t.Errorf("%x: %+v, then %+v", b, c, second)
	}
}
