package icmp

import (
	"encoding/binary"
	"testing"

	"weir/test/mutate"
)

// Whatever comes by the raw sockets is read, or is none of ours.
func FuzzOuterError(f *testing.F) { mutate.Fuzz(f, outerErrorSeeds(), checkOuterError) }

func TestOuterErrorMutations(t *testing.T) {
	mutate.Test(t, "FuzzOuterError", outerErrorSeeds(), checkOuterError)
}

func outerErrorSeeds() mutate.Seeds {
	inner4 := append([]byte{0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 9, 192, 0, 2, 100}, 0, 80, 0, 80, 0, 40, 0, 0)
	outer4 := append([]byte{0x45, 0, 0, 80, 0, 1, 0x40, 0, 64, 4, 0, 0, 192, 0, 2, 1, 192, 0, 2, 11}, inner4...)
	outer6 := append([]byte{0x60, 0, 0, 0, 0, 28, 4, 64}, append(make([]byte, 32), inner4...)...)
	return mutate.Seeds{
		{summed(append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, outer4...)), false},
		{append([]byte{2, 0, 0, 0, 0, 0, 5, 0}, outer6...), true},
	}
}

func checkOuterError(t *testing.T, message []byte, ip6 bool) {
	if !ip6 && len(message) >= 4 { // few would have the right checksum
		message = summed(message)
	}
	e, ok := ParseOuterError(message, ip6)
	if !ok {
		return
	}
	if _, ok := e.InnerKey(); !ok {
		return
	}
	most := longest6
	if e.Inner[0]>>4 == 4 {
		most = longest4
	}
	if got := len(e.About(1280)); got < header4+icmpHeader || got > most {
		t.Errorf("the client gets %d bytes, want at most %d", got, most)
	}
}

// summed is an ICMP message with the right checksum.
func summed(message []byte) []byte {
	message = append([]byte{}, message...)
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], ^internetSum(0, message))
	return message
}
