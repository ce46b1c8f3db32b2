package dataplane

import (
	"testing"

	"weir/internal/dataplane/abi"
	"weir/lvs"
)

// The marks of checks are the same in lvs and in the data plane's programs.
func TestCheckMarks(t *testing.T) {
	if abi.CheckMark != lvs.CheckMark || abi.CheckMarkMask != lvs.CheckMarkMask {
		t.Errorf("%#x %#x in the programs, %#x %#x in lvs", abi.CheckMark, abi.CheckMarkMask, lvs.CheckMark, lvs.CheckMarkMask)
	}
}
