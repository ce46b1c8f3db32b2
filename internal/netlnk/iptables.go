package netlnk

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// legacyFamilies are the two forms of legacy iptables (include/uapi/linux/netfilter_ipv4/ip_tables.h
// and ip6_tables.h): where the kernel lists their tables, and whom to ask about them.
var legacyFamilies = []struct {
	name, tables  string
	domain, level int
}{
	{"iptables-legacy", "/proc/thread-self/net/ip_tables_names", unix.AF_INET, unix.IPPROTO_IP},
	{"ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names", unix.AF_INET6, unix.IPPROTO_IPV6},
}

// builtIn is how many entries a table has without any rule: a policy for each of its hooks,
// and its end.
var builtIn = map[string]uint32{"filter": 4, "raw": 3, "mangle": 6, "security": 4}

// getInfo is IPT_SO_GET_INFO and IP6T_SO_GET_INFO, and tableInfo their struct.
const getInfo = 64

type tableInfo struct {
	Name                 [32]byte
	ValidHooks           uint32
	HookEntry, Underflow [5]uint32
	Entries, Size        uint32
}

// legacyTables are tables of legacy iptables that have rules. Only tables that the kernel
// lists are asked for, since a question would make a table.
func legacyTables() (names []string) {
	for _, family := range legacyFamilies {
		list, err := os.ReadFile(family.tables)
		if err != nil || len(bytes.TrimSpace(list)) == 0 {
			continue
		}
		socket, err := unix.Socket(family.domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			continue
		}
		for _, table := range strings.Fields(string(list)) {
			if none, filters := builtIn[table]; filters && tableEntries(socket, family.level, table) > none {
				names = append(names, family.name+" "+table)
			}
		}
		unix.Close(socket)
	}
	slices.Sort(names)
	return names
}

// tableEntries is how many entries a table has; 0 where the kernel does not say.
func tableEntries(socket, level int, table string) uint32 {
	var info tableInfo
	copy(info.Name[:len(info.Name)-1], table)
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(socket), uintptr(level), getInfo,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return info.Entries
}
