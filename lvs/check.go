package lvs

import "fmt"

// The marks of checks through a virtual address: the bits of CheckMarkMask, and a number.
// They are those of the data plane's programs (bpf/abi.h).
const (
	CheckMark     = 0x77700000
	CheckMarkMask = 0xfff00000
)

// MaxCheckNumber is the greatest number that a service's checks may have.
const MaxCheckNumber = ^uint32(0) &^ CheckMarkMask

// CheckKey is the key of the service by which checks of one server of a service reach it
// through the service's address: packets that this machine itself sends with the key's Mark
// are forwarded as those of a service that has this server alone, whoever is master. The
// number is at most MaxCheckNumber; within a service each server has another one.
func CheckKey(of ServiceKey, number uint32) ServiceKey {
	of.Mark = CheckMark | number
	return of
}

// IsCheck says whether the key is that of CheckKey.
func (k ServiceKey) IsCheck() bool {
	return k.Mark&CheckMarkMask == CheckMark && k.Protocol != 0
}

// ByMark says whether the key is that of a service by firewall mark.
func (k ServiceKey) ByMark() bool { return k.Mark != 0 && !k.IsCheck() }

func (k ServiceKey) checkString() string {
	number, of := k.Mark&^CheckMarkMask, k
	of.Mark = 0
	return fmt.Sprintf("%s check %d", of, number)
}
