package netlnk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// RawSockets lists the raw sockets of an IP protocol in this network namespace, by their inodes,
// in order.
func RawSockets(protocol uint8) (inodes []uint64, err error) {
	for _, file := range []string{"/proc/self/net/raw", "/proc/self/net/raw6"} {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		// Fields 1 and 9 are the local address with the protocol as its port, and the inode
		// (raw_sock_seq_show of net/ipv4/raw.c).
		suffix := fmt.Sprintf(":%04X", protocol)
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 10 || !strings.HasSuffix(words[1], suffix) {
				continue
			}
			if n, err := strconv.ParseUint(words[9], 10, 64); err == nil {
				inodes = append(inodes, n)
			}
		}
	}
	slices.Sort(inodes)
	return inodes, nil
}

// NotOwn are those of these sockets that are not this process's.
func NotOwn(inodes []uint64) ([]uint64, error) {
	own, err := socketsOf("/proc/self")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(inodes), func(n uint64) bool { return own[n] }), nil
}

// SocketHolders are the processes that have one of these sockets open, as far as they may be seen.
func SocketHolders(inodes []uint64) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		held, _ := socketsOf(filepath.Join("/proc", e.Name())) // it may have ended
		if slices.ContainsFunc(inodes, func(n uint64) bool { return held[n] }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// socketsOf are the sockets of a process, by their inodes.
func socketsOf(process string) (map[uint64]bool, error) {
	folder := filepath.Join(process, "fd")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	sockets := map[uint64]bool{}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(folder, e.Name()))
		if err != nil {
			continue // it was closed meanwhile
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if n, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); ok && err == nil {
			sockets[n] = true
		}
	}
	return sockets, nil
}
