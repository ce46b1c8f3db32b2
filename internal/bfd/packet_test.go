package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"weir/test/mutate"
)

// FuzzPacket parses what is sent to the BFD port.
func FuzzPacket(f *testing.F) { mutate.Fuzz(f, packetSeeds(f), checkPacket) }

func TestPacketMutations(t *testing.T) { mutate.Test(t, "FuzzPacket", packetSeeds(t), checkPacket) }

func packetSeeds(t testing.TB) mutate.Seeds {
	good, err := Packet{State: Up, Multiplier: 3, MyDiscriminator: 1, YourDiscriminator: 2, Poll: true, DesiredMinTx: time.Second}.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Of([]byte{}, bytes.Repeat([]byte{0xff}, 30), good, append(bytes.Clone(good), 0))
}

// checkPacket wants no panic of any bytes, and what is taken made and parsed again to the
// same packet.
func checkPacket(t *testing.T, data []byte) {
	var p, again Packet
	if p.UnmarshalBinary(data) != nil {
		return
	}
	made, err := p.MarshalBinary()
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	if err := again.UnmarshalBinary(made); err != nil || again != p {
		t.Fatalf("%+v became %+v: %v", p, again, err)
	}
	if !bytes.Equal(made[:3], data[:3]) || !bytes.Equal(made[4:packetLength], data[4:packetLength]) {
		t.Fatalf("% x became % x", data, made)
	}
}

// A packet as BIRD 2.0.12 sends it.
func TestPacketOfBIRD(t *testing.T) {
	data, err := hex.DecodeString("20c80518aabbccdd11223344" + "000186a0" + "000186a0" + "00000000")
	if err != nil {
		t.Fatal(err)
	}
	var p Packet
	if err := p.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	want := Packet{
		State: Up, ControlPlaneIndependent: true, Multiplier: 5, MyDiscriminator: 0xaabbccdd, YourDiscriminator: 0x11223344,
		DesiredMinTx: 100 * time.Millisecond, RequiredMinRx: 100 * time.Millisecond,
	}
	if p != want {
		t.Errorf("%+v, want %+v", p, want)
	}
}

// What RFC 5880 section 6.8.6 has dropped.
func TestPacketsThatAreDropped(t *testing.T) {
	good, err := Packet{State: Down, Multiplier: 3, MyDiscriminator: 1}.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, b byte) []byte {
		c := bytes.Clone(good)
		c[at] = b
		return c
	}
	authenticated := append(with(1, good[1]|bitAuth), 1, 2)
	authenticated[3] = byte(len(authenticated))
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":              {nil, errShort},
		"cut":                  {good[:23], errShort},
		"version 0":            {with(0, 0), errVersion},
		"version 2":            {with(0, 2<<5), errVersion},
		"a length too short":   {with(3, 23), errLength},
		"one beyond the data":  {with(3, 25), errLength},
		"auth, and no section": {with(1, good[1]|bitAuth), errLength},
		"authenticated":        {authenticated, errAuth},
		"multiplier 0":         {with(2, 0), errMultiplier},
		"multipoint":           {with(1, good[1]|bitMultipoint), errMultipoint},
		"poll and final":       {with(1, good[1]|bitPoll|bitFinal), errPollFinal},
		"discriminator 0":      {with(7, 0), errDiscriminator},
		"up with nobody":       {with(1, byte(Up)<<6), errYours},
		"init with nobody":     {with(1, byte(Init)<<6), errYours},
		"behind it more":       {append(bytes.Clone(good), 1, 2, 3), nil},
		"down":                 {good, nil},
		"admin down":           {with(1, byte(AdminDown)<<6), nil},
	} {
		var p Packet
		if err := p.UnmarshalBinary(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for _, d := range []time.Duration{-time.Microsecond, 1 << 32 * time.Microsecond} {
		if _, err := (Packet{DesiredMinTx: d}).MarshalBinary(); err == nil {
			t.Errorf("a time of %s is made into a packet", d)
		}
	}
}
