//go:build !race

#include "textflag.h"

// func clone(flags, stack uintptr) (tid int)
//
// The child begins on the stack with the registers of its parent, runs run, and does not return.
TEXT ·clone(SB), NOSPLIT|NOFRAME, $0-24
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $220, R8 // SYS_clone
	SVC
	CBZ  R0, child
	MOVD R0, tid+16(FP)
	RET

child:
	MOVD $0, R29
	BL   ·run(SB)
	BRK  // run does not return

// func kernel(call, a, b, c, d, e, f uintptr) (result uintptr)
TEXT ·kernel(SB), NOSPLIT|NOFRAME, $0-64
	MOVD call+0(FP), R8
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD d+32(FP), R3
	MOVD e+40(FP), R4
	MOVD f+48(FP), R5
	SVC
	MOVD R0, result+56(FP)
	RET
