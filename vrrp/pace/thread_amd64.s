//go:build !race

#include "textflag.h"

// func clone(flags, stack uintptr) (tid int)
//
// The child begins on the stack with the registers of its parent, runs run, and does not return.
TEXT ·clone(SB), NOSPLIT|NOFRAME, $0-24
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ $0, DX
	MOVQ $0, R10
	MOVQ $0, R8
	MOVQ $56, AX // SYS_clone
	SYSCALL
	CMPQ AX, $0
	JEQ  child
	MOVQ AX, tid+16(FP)
	RET

child:
	MOVQ $0, BP
	CALL ·run(SB)
	INT  $3 // run does not return

// func kernel(call, a, b, c, d, e, f uintptr) (result uintptr)
TEXT ·kernel(SB), NOSPLIT|NOFRAME, $0-64
	MOVQ call+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), R10
	MOVQ e+40(FP), R8
	MOVQ f+48(FP), R9
	SYSCALL
	MOVQ AX, result+56(FP)
	RET
