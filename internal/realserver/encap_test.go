package realserver_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"weir/internal/netlnk"
	"weir/internal/netlnk/nstest"
)

// Offsets in struct __sk_buff, and flags of bpf_skb_adjust_room (include/uapi/linux/bpf.h).
const (
	skbLen, skbProtocol = 0, 16
	roomFixedGSO        = 1 << 0
	roomEncapIPv4       = 1 << 1
	roomEncapIPv6       = 1 << 2
	shot                = 2 // TC_ACT_SHOT
)

// encapsulate attaches a program to a client's device that encapsulates the packets to a
// VIP as a director does, with 64 KB segments and partial checksums.
func encapsulate(t *testing.T, client *nstest.Namespace, dev string, vip, from, to netip.Addr) {
	t.Helper()
	must(t, rlimit.RemoveMemlock())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "encap", Type: ebpf.SchedCLS, License: "GPL", Instructions: encapProgram(vip, from, to),
	})
	must(t, err)
	defer p.Close()
	client.Do(func() {
		l, err := netlnk.LinkByName(dev)
		must(t, err)
		must(t, netlnk.SetFilter(l.Index, netlnk.FilterEgress, p.FD(), "encap"))
	})
}

// encapProgram keeps skb in R6, the outer packet's length in R7, and the outer
// header on the stack, 40 bytes below its end.
func encapProgram(vip, from, to netip.Addr) asm.Instructions {
	template, flags := outerHeader(vip, from, to)
	size := int32(len(template))
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbProtocol, asm.Word),
		asm.JNE.Imm(asm.R2, int32(ethertype(vip)), "pass"),
		// It is for the VIP where the last four bytes of the destination are the VIP's.
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, map[bool]int32{true: 14 + 16, false: 14 + 24 + 12}[vip.Is4()]),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -8),
		asm.Mov.Imm(asm.R4, 4),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R2, asm.RFP, -8, asm.Word),
		asm.JNE.Imm32(asm.R2, int32(lastWord(vip)), "pass"),

		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Imm(asm.R3, 1), // BPF_ADJ_ROOM_MAC
		asm.Mov.Imm(asm.R4, flags),
		asm.FnSkbAdjustRoom.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R7, asm.R6, skbLen, asm.Word), asm.Add.Imm(asm.R7, -14),
	}
	for i := 0; i < len(template); i += 4 {
		word := int64(int32(binary.LittleEndian.Uint32(template[i:])))
		ins = append(ins, asm.StoreImm(asm.RFP, int16(i-40), word, asm.Word))
	}
	if from.Is4() {
		ins = append(ins, outerLength4(template)...)
	} else {
		ins = append(ins,
			asm.Add.Imm(asm.R7, -size), asm.HostTo(asm.BE, asm.R7, asm.Half),
			asm.StoreMem(asm.RFP, 4-40, asm.R7, asm.Half))
	}
	ins = append(ins, storeBytes(14, -40, size)...)
	ins = append(ins, asm.StoreImm(asm.RFP, -8, int64(ethertype(from)), asm.Half))
	ins = append(ins, storeBytes(12, -8, 2)...)
	return append(ins,
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
		asm.Mov.Imm(asm.R0, shot).WithSymbol("drop"), asm.Return(),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("pass"), asm.Return())
}

// outerLength4 writes the length from R7, and the header checksum that follows from it.
func outerLength4(template []byte) asm.Instructions {
	var sum int32
	for i := 0; i < len(template); i += 2 {
		sum += int32(binary.BigEndian.Uint16(template[i:]))
	}
	ins := asm.Instructions{asm.Mov.Reg(asm.R8, asm.R7), asm.Add.Imm(asm.R8, sum)}
	for range 2 {
		ins = append(ins, asm.Mov.Reg(asm.R2, asm.R8), asm.RSh.Imm(asm.R2, 16), asm.And.Imm(asm.R8, 0xffff), asm.Add.Reg(asm.R8, asm.R2))
	}
	return append(ins,
		asm.Xor.Imm(asm.R8, 0xffff), asm.HostTo(asm.BE, asm.R8, asm.Half), asm.StoreMem(asm.RFP, 10-40, asm.R8, asm.Half),
		asm.HostTo(asm.BE, asm.R7, asm.Half), asm.StoreMem(asm.RFP, 2-40, asm.R7, asm.Half))
}

func storeBytes(at, from, size int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, at),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, from),
		asm.Mov.Imm(asm.R4, size),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
	}
}

// outerHeader is the outer header without its length and IPv4's checksum.
func outerHeader(vip, from, to netip.Addr) (h []byte, flags int32) {
	proto := byte(4)
	if vip.Is6() {
		proto = 41
	}
	if from.Is4() {
		h = append([]byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 63, proto, 0, 0}, from.AsSlice()...)
		return append(h, to.AsSlice()...), roomFixedGSO | roomEncapIPv4
	}
	h = append([]byte{0x60, 0, 0, 0, 0, 0, proto, 63}, from.AsSlice()...)
	return append(h, to.AsSlice()...), roomFixedGSO | roomEncapIPv6
}

// ethertype is in network byte order, read by a little-endian machine.
func ethertype(a netip.Addr) uint16 {
	if a.Is4() {
		return 0x0008
	}
	return 0xdd86
}

func lastWord(a netip.Addr) uint32 {
	b := a.AsSlice()
	return binary.LittleEndian.Uint32(b[len(b)-4:])
}
