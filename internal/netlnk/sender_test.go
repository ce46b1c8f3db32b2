package netlnk_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// One socket sends a batch; it says how many frames the kernel took, and why not all.
func TestSender(t *testing.T) {
	near, far := pair(t)
	if _, err := netlnk.OpenSender("nosuch"); !errors.Is(err, netlnk.ErrNoDevice) {
		t.Errorf("OpenSender(nosuch) = %v, want ErrNoDevice", err)
	}
	near.Do(func() {
		s, err := netlnk.OpenSender("ens160")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		frames := make([]netlnk.Frame, 1000)
		for i := range frames {
			frames[i] = netlnk.Frame{EtherType: 0x88b5, To: s.Link.MAC, Payload: make([]byte, 46)} // local experimental
		}
		if sent, err := s.Send(frames); sent != len(frames) || err != nil {
			t.Fatalf("sent %d, %v, want all %d", sent, err, len(frames))
		}
		frames[2].Payload = make([]byte, 2000)
		if sent, err := s.Send(frames[:5]); sent != 2 || !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("sent %d, %v, want 2 and EMSGSIZE", sent, err)
		}
		near.IP("link", "set", "ens160", "down")
		if sent, err := s.Send(frames[:2]); sent != 0 || !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("sent %d, %v, want ENETDOWN", sent, err)
		}
		near.IP("link", "delete", "ens160")
		if sent, err := s.Send(frames[:2]); sent != 0 || !errors.Is(err, unix.ENXIO) {
			t.Errorf("sent %d, %v, want ENXIO", sent, err)
		}
		nstest.Veth(near, "ens160", far, "ens160")
		if sent, err := s.Send(frames[:2]); sent != 0 || !errors.Is(err, unix.ENXIO) {
			t.Errorf("sent %d, %v from a device that was made anew, want ENXIO", sent, err)
		}
	})
}
