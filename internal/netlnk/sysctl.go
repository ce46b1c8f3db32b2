package netlnk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl reads net.ipv4.conf.DEV.NAME without the line's end; dev is a device, "all" or
// "default".
func Sysctl(dev, name string) (string, error) {
	path, err := sysctlPath(dev, name)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", sysctlError("read", dev, name, err)
	}
	return strings.TrimSpace(string(b)), nil
}

// SetSysctl writes net.ipv4.conf.DEV.NAME; dev is as in Sysctl. A value that the kernel
// refuses is an error that names it.
func SetSysctl(dev, name, value string) error {
	path, err := sysctlPath(dev, name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return sysctlError("set", dev, name, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return sysctlError("set", dev, name, fmt.Errorf("to %q: %w", value, err))
	}
	return nil
}

// Forwards6 says whether this machine forwards the IPv6 packets that come in on a device
// (net.ipv6.conf.DEV.forwarding).
func Forwards6(dev string) (bool, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", filepath.Base(dev), "forwarding"))
	if err != nil {
		return false, fmt.Errorf("read sysctl net.ipv6.conf.%s.forwarding: %w", dev, err)
	}
	return strings.TrimSpace(string(b)) != "0", nil
}

// sysctlPath is the file of a sysctl. Paths are used instead of dotted names because a
// device's name may contain dots. /proc/sys/net shows the network namespace of the
// thread that opens it.
func sysctlPath(dev, name string) (string, error) {
	for _, s := range []string{dev, name} {
		if s == "" || s == "." || s == ".." || strings.Contains(s, "/") {
			return "", fmt.Errorf("sysctl net.ipv4.conf: %q is not a name", s)
		}
	}
	return filepath.Join("/proc/sys/net/ipv4/conf", dev, name), nil
}

func sysctlError(verb, dev, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Stat(filepath.Join("/proc/sys/net/ipv4/conf", dev)); missing != nil {
			err = ErrNoDevice
		}
	}
	return fmt.Errorf("%s sysctl net.ipv4.conf.%s.%s: %w", verb, dev, name, err)
}
