package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Rules are what holds for all programs of a configuration. The nil Rules are those of an
// empty one.
type Rules struct {
	// User and Group are whose a program runs as that names nobody; empty is
	// keepalived_script where there is such a user, and this process's otherwise.
	User, Group   string
	Supplementary bool
	// Security refuses to run as root what others than root may write.
	Security bool
	// Links leaves links in paths; otherwise a program is run by the path that they lead to.
	Links bool
	// Umask is the mask of the files that programs make; nil is this process's.
	Umask *uint32
}

// defaultUser is whose programs run as where the configuration does not say.
const defaultUser = "keepalived_script"

// identity is whose a command runs as; nil is this process's.
func (r *Rules) identity(c Command) (*syscall.Credential, error) {
	name, group, all := c.User, c.Group, c.Supplementary
	if name == "" && r != nil {
		name, group, all = r.User, r.Group, r.Supplementary
	}
	if name == "" {
		if _, err := user.Lookup(defaultUser); err != nil {
			return nil, nil
		}
		name = defaultUser
	}
	account, err := user.Lookup(name)
	if err != nil {
		if account, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("run as %s: there is no such user", name)
		}
	}
	uid, err := number(account.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := groupOf(account, group)
	if err != nil {
		return nil, err
	}
	who := &syscall.Credential{Uid: uid, Gid: gid, Groups: []uint32{gid}}
	if all || r != nil && r.Supplementary {
		ids, err := account.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("run as %s: its groups: %w", name, err)
		}
		for _, id := range ids {
			if n, err := number(id); err == nil && n != gid {
				who.Groups = append(who.Groups, n)
			}
		}
	}
	return who, nil
}

// groupOf is the group of this name, or the user's own.
func groupOf(account *user.User, name string) (uint32, error) {
	if name == "" {
		return number(account.Gid)
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		if group, err = user.LookupGroupId(name); err != nil {
			return 0, fmt.Errorf("run as group %s: there is no such group", name)
		}
	}
	return number(group.Gid)
}

func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}

// admit says where a program is, and whether it may be run by this identity.
func (r *Rules) admit(path string, who *syscall.Credential) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("run %s: expected an absolute path", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return "", fmt.Errorf("run %s: %w", path, err)
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return "", fmt.Errorf("run %s: %w", path, err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return "", fmt.Errorf("run %s: it is no program", path)
	}
	runs := path
	if r == nil || !r.Links {
		runs = resolved(path, real, info)
	}
	root := who == nil && os.Geteuid() == 0 || who != nil && who.Uid == 0
	if r == nil || !r.Security || !root {
		return runs, nil
	}
	for _, checked := range []string{filepath.Clean(path), real} {
		for at := checked; ; at = filepath.Dir(at) {
			if err := guarded(at); err != nil {
				return "", fmt.Errorf("run %s as root: %w", path, err)
			}
			if at == "/" {
				break
			}
		}
	}
	return runs, nil
}

// resolved is the path without links by which a program is run. As in keepalived it keeps its
// name, where it has that beside the file, too: some programs go by it.
func resolved(path, real string, info fs.FileInfo) string {
	named := filepath.Join(filepath.Dir(real), filepath.Base(path))
	if other, err := os.Stat(named); err == nil && os.SameFile(info, other) {
		return named
	}
	return real
}

// guarded says whether others than root may write a file or a folder. In a folder with the
// sticky bit nobody may replace what is root's.
func guarded(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeSymlink != 0 && stat.Uid == 0 {
		return nil
	}
	open := info.Mode()&0o002 != 0 || info.Mode()&0o020 != 0 && stat.Gid != 0
	if stat.Uid != 0 || open && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0) {
		return fmt.Errorf("%s may be written by others than root", path)
	}
	return nil
}
